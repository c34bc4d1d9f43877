"""Strandline's resources on AWS. Those with data are protected from deletion; the task has the rights it needs only."""

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

PORT = 8080
APPLICATION = "strandline"  # names KCL's tables
# ECS kills the task after STOP_SECONDS: the drain and the end of the daemon must fit in.
DRAIN_SECONDS, STOP_SECONDS = 20, 60
METRICS_SECONDS = 60
DATABASE, LOGIN = "strandline", "strandline_service"
# Versions keep what `scrub` and a deletion removed: for so long a mistake can be undone, and after that it is gone.
OLD_VERSION_DAYS = 30
DIGEST_YEARS = 10
TABLES = (APPLICATION, f"{APPLICATION}-WorkerMetricStats", f"{APPLICATION}-CoordinatorState")


@dataclass(frozen=True)
class Choices:
    """The operator's settings; `stream` is the name of an existing stream, or None for a new one.

    With `fan_out` Kinesis pushes the records, at a price.
    """

    image: str
    vpc_id: str
    subnet_ids: tuple[str, ...]
    stream: str | None = None
    workers: int = 2
    fan_out: bool = False


class Strandline(pulumi.ComponentResource):
    """The stream, the stores, the bucket for exports, and the service that runs the worker."""

    def __init__(self, name: str, choices: Choices) -> None:
        super().__init__("strandline:aws:Strandline", name)
        self._name, self._choices = name, choices
        self._child = pulumi.ResourceOptions(parent=self)
        self._kept = pulumi.ResourceOptions(parent=self, protect=True)
        self._region = aws.get_region().region
        self._account = aws.get_caller_identity().account_id
        self._security_groups()
        self._key = aws.kms.Key(
            f"{name}-key", description="Strandline's data at rest", enable_key_rotation=True, opts=self._kept
        )
        stream_arn = self._stream()
        bucket = self._exports()
        self._digests()
        self._database()
        domain = self._search()
        self._service(stream_arn, bucket, domain)
        self.register_outputs({})

    def _security_groups(self) -> None:
        """Let the worker reach the stores, and nothing reach the worker."""
        egress = [
            aws.ec2.SecurityGroupEgressArgs(from_port=port, to_port=port, protocol="tcp", cidr_blocks=["0.0.0.0/0"])
            for port in (443, 5432)
        ]
        self._worker_group = aws.ec2.SecurityGroup(
            f"{self._name}-worker",
            vpc_id=self._choices.vpc_id,
            description="Strandline's worker",
            egress=egress,
            opts=self._child,
        )

        def only_from_worker(role: str, port: int) -> aws.ec2.SecurityGroup:
            ingress = aws.ec2.SecurityGroupIngressArgs(
                from_port=port, to_port=port, protocol="tcp", security_groups=[self._worker_group.id]
            )
            return aws.ec2.SecurityGroup(
                f"{self._name}-{role}",
                vpc_id=self._choices.vpc_id,
                description=f"Strandline's {role}",
                ingress=[ingress],
                opts=self._child,
            )

        self._database_group = only_from_worker("database", 5432)
        self._search_group = only_from_worker("search", 443)

    def _stream(self) -> pulumi.Output[str]:
        if self._choices.stream is not None:
            self.stream_name = pulumi.Output.from_input(self._choices.stream)
            where = f"arn:aws:kinesis:{self._region}:{self._account}:stream/"
            return pulumi.Output.concat(where, self.stream_name)
        stream = aws.kinesis.Stream(
            f"{self._name}-journal",
            stream_mode_details=aws.kinesis.StreamStreamModeDetailsArgs(stream_mode="ON_DEMAND"),
            retention_period=168,
            encryption_type="KMS",
            kms_key_id=self._key.arn,
            opts=self._kept,
        )
        self.stream_name = stream.name
        return stream.arn

    def _exports(self) -> aws.s3.Bucket:
        """Create the bucket of the exports that `replay` reads. They hold personal data, so nothing in it is locked."""
        bucket = aws.s3.Bucket(f"{self._name}-exports", opts=self._kept)
        self._private("exports", bucket)
        rule = aws.s3.BucketLifecycleConfigurationRuleArgs(
            id="forget-old-versions",
            status="Enabled",
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                noncurrent_days=OLD_VERSION_DAYS
            ),
            expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
            abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=7
            ),
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{self._name}-exports-lifecycle", bucket=bucket.id, rules=[rule], opts=self._child
        )
        self.exports_bucket = bucket.bucket
        return bucket

    def _digests(self) -> None:
        """Create the bucket of digests and heads of receipts, which nobody can replace. The task has no right to it."""
        bucket = aws.s3.Bucket(f"{self._name}-digests", object_lock_enabled=True, opts=self._kept)
        self._private("digests", bucket)
        # Not COMPLIANCE: a proof with somebody's data, put here by mistake, can be removed by
        # s3:BypassGovernanceRetention.
        retention = aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(mode="GOVERNANCE", years=DIGEST_YEARS)
        aws.s3.BucketObjectLockConfiguration(
            f"{self._name}-digests-lock",
            bucket=bucket.id,
            rule=aws.s3.BucketObjectLockConfigurationRuleArgs(default_retention=retention),
            opts=self._child,
        )
        self.digests_bucket = bucket.bucket

    def _private(self, role: str, bucket: aws.s3.Bucket) -> None:
        """Encrypt a bucket, keep its versions, and let nobody open it to the public."""
        aws.s3.BucketPublicAccessBlock(
            f"{self._name}-{role}-private",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._child,
        )
        aws.s3.BucketVersioning(
            f"{self._name}-{role}-versions",
            bucket=bucket.id,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self._child,
        )
        rule = aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
            apply_server_side_encryption_by_default=aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                sse_algorithm="aws:kms", kms_master_key_id=self._key.arn
            ),
            bucket_key_enabled=True,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{self._name}-{role}-encrypted", bucket=bucket.id, rules=[rule], opts=self._child
        )

    def _database(self) -> None:
        subnets = aws.rds.SubnetGroup(
            f"{self._name}-database",
            description="Strandline's database",
            subnet_ids=list(self._choices.subnet_ids),
            opts=self._child,
        )
        self._cluster = aws.rds.Cluster(
            f"{self._name}-database",
            engine="aurora-postgresql",
            engine_version="17.5",
            database_name=DATABASE,
            master_username=LOGIN,
            manage_master_user_password=True,
            storage_encrypted=True,
            kms_key_id=self._key.arn,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[self._database_group.id],
            backup_retention_period=7,
            deletion_protection=True,
            skip_final_snapshot=False,
            final_snapshot_identifier=f"{self._name}-final",
            serverlessv2_scaling_configuration=aws.rds.ClusterServerlessv2ScalingConfigurationArgs(
                min_capacity=0.5, max_capacity=16
            ),
            opts=self._kept,
        )
        aws.rds.ClusterInstance(
            f"{self._name}-database-1",
            cluster_identifier=self._cluster.id,
            instance_class="db.serverless",
            engine="aurora-postgresql",
            engine_version=self._cluster.engine_version,
            opts=self._kept,
        )
        self.database_endpoint = self._cluster.endpoint

    def _search(self) -> aws.opensearch.Domain:
        domain = aws.opensearch.Domain(
            f"{self._name}-search",
            engine_version="OpenSearch_2.19",
            cluster_config=aws.opensearch.DomainClusterConfigArgs(
                instance_type="t3.medium.search",
                instance_count=2,
                zone_awareness_enabled=True,
                zone_awareness_config=aws.opensearch.DomainClusterConfigZoneAwarenessConfigArgs(
                    availability_zone_count=2
                ),
            ),
            ebs_options=aws.opensearch.DomainEbsOptionsArgs(ebs_enabled=True, volume_size=20, volume_type="gp3"),
            encrypt_at_rest=aws.opensearch.DomainEncryptAtRestArgs(enabled=True, kms_key_id=self._key.arn),
            node_to_node_encryption=aws.opensearch.DomainNodeToNodeEncryptionArgs(enabled=True),
            domain_endpoint_options=aws.opensearch.DomainDomainEndpointOptionsArgs(
                enforce_https=True, tls_security_policy="Policy-Min-TLS-1-2-2019-07"
            ),
            vpc_options=aws.opensearch.DomainVpcOptionsArgs(
                subnet_ids=list(self._choices.subnet_ids[:2]), security_group_ids=[self._search_group.id]
            ),
            opts=self._kept,
        )
        self.search_endpoint = domain.endpoint
        return domain

    def _search_policy(self, domain: aws.opensearch.Domain, task_role: aws.iam.Role) -> None:
        """Let the worker's signed requests in, and no others."""
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": task_role.arn},
            "Action": "es:ESHttp*",
            "Resource": pulumi.Output.concat(domain.arn, "/*"),
        }
        aws.opensearch.DomainPolicy(
            f"{self._name}-search-policy",
            domain_name=domain.domain_name,
            access_policies=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]}),
            opts=self._child,
        )

    def _service(self, stream_arn: pulumi.Output[str], bucket: aws.s3.Bucket, domain: aws.opensearch.Domain) -> None:
        logs = aws.cloudwatch.LogGroup(f"{self._name}-logs", retention_in_days=90, opts=self._child)
        secret = self._cluster.master_user_secrets[0].secret_arn
        cluster = aws.ecs.Cluster(f"{self._name}-cluster", opts=self._child)
        task_role = self._task_role(stream_arn, bucket, secret)
        self._search_policy(domain, task_role)
        definition = aws.ecs.TaskDefinition(
            f"{self._name}-worker",
            family=f"{self._name}-worker",
            requires_compatibilities=["FARGATE"],
            network_mode="awsvpc",
            cpu="1024",
            memory="4096",
            execution_role_arn=self._execution_role(logs).arn,
            task_role_arn=task_role.arn,
            volumes=[aws.ecs.TaskDefinitionVolumeArgs(name="tmp"), aws.ecs.TaskDefinitionVolumeArgs(name="home")],
            container_definitions=pulumi.Output.json_dumps([self._container(logs, secret, domain)]),
            opts=self._child,
        )
        service = aws.ecs.Service(
            f"{self._name}-worker",
            cluster=cluster.arn,
            task_definition=definition.arn,
            desired_count=self._choices.workers,
            launch_type="FARGATE",
            network_configuration=aws.ecs.ServiceNetworkConfigurationArgs(
                subnets=list(self._choices.subnet_ids), security_groups=[self._worker_group.id]
            ),
            deployment_circuit_breaker=aws.ecs.ServiceDeploymentCircuitBreakerArgs(enable=True, rollback=True),
            opts=self._child,
        )
        self.cluster, self.service = cluster.name, service.name

    def _container(
        self, logs: aws.cloudwatch.LogGroup, secret: pulumi.Output[str], domain: aws.opensearch.Domain
    ) -> dict[str, Any]:
        url = pulumi.Output.format("postgresql://{0}:5432/{1}?sslmode=require", self._cluster.endpoint, DATABASE)
        environment = {
            "AWS_REGION": self._region,
            "STRANDLINE_STREAM": self.stream_name,
            "STRANDLINE_APPLICATION": APPLICATION,
            "STRANDLINE_DRAIN_SECONDS": str(DRAIN_SECONDS),
            "STRANDLINE_FAN_OUT": str(self._choices.fan_out).lower(),
            "STRANDLINE_CLOUDWATCH_SECONDS": str(METRICS_SECONDS),
            "STRANDLINE_DATABASE_URL": url,
            # Not PGPASSWORD, which ECS would read once: RDS rotates the password every week.
            "STRANDLINE_DATABASE_PASSWORD_FROM": pulumi.Output.concat("secret:", secret),
            "STRANDLINE_OPENSEARCH_URL": pulumi.Output.format("https://{0}", domain.endpoint),
            "STRANDLINE_OPENSEARCH_REGION": self._region,  # signs the requests
            "PGUSER": LOGIN,
        }
        return {
            "name": "worker",
            "image": self._choices.image,
            "command": ["worker"],
            "essential": True,
            "stopTimeout": STOP_SECONDS,
            "readonlyRootFilesystem": True,
            "portMappings": [{"containerPort": PORT}],
            "environment": [{"name": name, "value": value} for name, value in environment.items()],
            "mountPoints": [
                {"sourceVolume": "tmp", "containerPath": "/tmp"},
                {"sourceVolume": "home", "containerPath": "/var/lib/strandline"},
            ],
            "healthCheck": {
                "command": ["CMD", "strandline", "worker", "--check"],
                "interval": 15,
                "timeout": 5,
                "retries": 3,
                "startPeriod": 60,
            },
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": logs.name,
                    "awslogs-region": self._region,
                    "awslogs-stream-prefix": "worker",
                },
            },
        }

    def _task_role(
        self, stream_arn: pulumi.Output[str], bucket: aws.s3.Bucket, secret: pulumi.Output[str]
    ) -> aws.iam.Role:
        """Grant the stream, KCL's own tables, reading exports, and the database's password."""
        tables = [
            pulumi.Output.format("arn:aws:dynamodb:{0}:{1}:table/{2}", self._region, self._account, table)
            for table in TABLES
        ]
        kinesis = ["DescribeStream", "DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords"]
        dynamodb = [
            "CreateTable", "DescribeTable", "UpdateTable", "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Scan",
        ]  # fmt: skip
        index = pulumi.Output.concat(tables[0], "/index/*")
        fan_out = [
            _allow(["kinesis:RegisterStreamConsumer"], [stream_arn]),
            _allow(
                ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"],
                [pulumi.Output.format("{0}/consumer/{1}:*", stream_arn, APPLICATION)],
            ),
        ]
        return self._role(
            "task",
            [
                _allow([f"kinesis:{action}" for action in kinesis], [stream_arn]),
                *(fan_out if self._choices.fan_out else []),
                _allow([f"dynamodb:{action}" for action in dynamodb], tables),
                _allow(["dynamodb:Query"], [tables[0], index]),
                _allow(["s3:ListBucket"], [bucket.arn]),
                _allow(["s3:GetObject"], [pulumi.Output.concat(bucket.arn, "/*")]),
                _allow(["kms:Decrypt"], [self._key.arn]),
                _allow(["secretsmanager:GetSecretValue"], [secret]),
            ],
        )

    def _execution_role(self, logs: aws.cloudwatch.LogGroup) -> aws.iam.Role:
        """Grant what ECS needs before the task runs: the image and the log."""
        images = ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        return self._role(
            "execution",
            [
                _allow(images, ["*"]),
                _allow(["logs:CreateLogStream", "logs:PutLogEvents"], [pulumi.Output.concat(logs.arn, ":*")]),
            ],
        )

    def _role(self, purpose: str, statements: list[dict[str, Any]]) -> aws.iam.Role:
        role = aws.iam.Role(
            f"{self._name}-{purpose}",
            assume_role_policy=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            ),
            opts=self._child,
        )
        aws.iam.RolePolicy(
            f"{self._name}-{purpose}",
            role=role.id,
            policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements}),
            opts=self._child,
        )
        return role


def _allow(actions: list[str], resources: list[Any]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}
