# Strandline's resources on AWS: the same as those of the Pulumi program, deploy/stack.py, which says why each is so.
# tests/deploy/test_terraform.py holds the two against each other.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

data "aws_region" "here" {}

data "aws_caller_identity" "here" {}

locals {
  port             = 8080
  application      = "strandline"
  drain_seconds    = 20
  stop_seconds     = 60
  metrics_seconds  = 60
  postgresql       = "17.5"
  database         = "strandline"
  login            = "strandline_service"
  old_version_days = 30
  digest_years     = 10
  tables           = [local.application, "${local.application}-WorkerMetricStats", "${local.application}-CoordinatorState"]

  region      = data.aws_region.here.region
  account     = data.aws_caller_identity.here.account_id
  stream_name = var.stream != null ? var.stream : aws_kinesis_stream.journal[0].name
  stream_arn  = "arn:aws:kinesis:${local.region}:${local.account}:stream/${local.stream_name}"
  secret      = aws_rds_cluster.database.master_user_secret[0].secret_arn
  table_arns  = [for table in local.tables : "arn:aws:dynamodb:${local.region}:${local.account}:table/${table}"]
}

resource "aws_kms_key" "key" {
  description         = "Strandline's data at rest"
  enable_key_rotation = true

  lifecycle {
    prevent_destroy = true
  }
}

# Who reaches what: the worker the stores, and nothing the worker.

resource "aws_security_group" "worker" {
  name_prefix = "${var.name}-worker-"
  vpc_id      = var.vpc_id
  description = "Strandline's worker"

  egress {
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }

  egress {
    from_port   = 5432
    to_port     = 5432
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "database" {
  name_prefix = "${var.name}-database-"
  vpc_id      = var.vpc_id
  description = "Strandline's database"

  ingress {
    from_port       = 5432
    to_port         = 5432
    protocol        = "tcp"
    security_groups = [aws_security_group.worker.id]
  }
}

resource "aws_security_group" "search" {
  name_prefix = "${var.name}-search-"
  vpc_id      = var.vpc_id
  description = "Strandline's search"

  ingress {
    from_port       = 443
    to_port         = 443
    protocol        = "tcp"
    security_groups = [aws_security_group.worker.id]
  }
}

resource "aws_kinesis_stream" "journal" {
  count            = var.stream == null ? 1 : 0
  name             = "${var.name}-journal"
  retention_period = 168
  encryption_type  = "KMS"
  kms_key_id       = aws_kms_key.key.arn

  stream_mode_details {
    stream_mode = "ON_DEMAND"
  }

  lifecycle {
    prevent_destroy = true
  }
}

# Exports hold personal data: nothing is locked, and old versions are forgotten.

resource "aws_s3_bucket" "exports" {
  bucket_prefix = "${var.name}-exports-"

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "exports" {
  bucket = aws_s3_bucket.exports.id

  rule {
    id     = "forget-old-versions"
    status = "Enabled"

    filter {
      prefix = ""
    }

    noncurrent_version_expiration {
      noncurrent_days = local.old_version_days
    }

    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

# Digests and heads of receipts hold hashes only: nobody can replace them. The task has no right to this bucket.

resource "aws_s3_bucket" "digests" {
  bucket_prefix       = "${var.name}-digests-"
  object_lock_enabled = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_object_lock_configuration" "digests" {
  bucket = aws_s3_bucket.digests.id

  rule {
    default_retention {
      mode  = "GOVERNANCE"
      years = local.digest_years
    }
  }
}

resource "aws_s3_bucket_public_access_block" "private" {
  for_each                = { exports = aws_s3_bucket.exports.id, digests = aws_s3_bucket.digests.id }
  bucket                  = each.value
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "versions" {
  for_each = { exports = aws_s3_bucket.exports.id, digests = aws_s3_bucket.digests.id }
  bucket   = each.value

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "encrypted" {
  for_each = { exports = aws_s3_bucket.exports.id, digests = aws_s3_bucket.digests.id }
  bucket   = each.value

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.key.arn
    }
  }
}

resource "aws_db_subnet_group" "database" {
  name_prefix = "${var.name}-"
  description = "Strandline's database"
  subnet_ids  = var.subnet_ids
}

resource "aws_rds_cluster" "database" {
  cluster_identifier_prefix   = "${var.name}-"
  engine                      = "aurora-postgresql"
  engine_version              = local.postgresql
  database_name               = local.database
  master_username             = local.login
  manage_master_user_password = true
  storage_encrypted           = true
  kms_key_id                  = aws_kms_key.key.arn
  db_subnet_group_name        = aws_db_subnet_group.database.name
  vpc_security_group_ids      = [aws_security_group.database.id]
  backup_retention_period     = 7
  deletion_protection         = true
  skip_final_snapshot         = false
  final_snapshot_identifier   = "${var.name}-final"

  serverlessv2_scaling_configuration {
    min_capacity = 0.5
    max_capacity = 16
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_rds_cluster_instance" "database" {
  cluster_identifier = aws_rds_cluster.database.id
  instance_class     = "db.serverless"
  engine             = "aurora-postgresql"
  engine_version     = local.postgresql

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_opensearch_domain" "search" {
  domain_name    = "${var.name}-search"
  engine_version = "OpenSearch_2.19"

  cluster_config {
    instance_type          = "t3.medium.search"
    instance_count         = 2
    zone_awareness_enabled = true

    zone_awareness_config {
      availability_zone_count = 2
    }
  }

  ebs_options {
    ebs_enabled = true
    volume_size = 20
    volume_type = "gp3"
  }

  encrypt_at_rest {
    enabled    = true
    kms_key_id = aws_kms_key.key.arn
  }

  node_to_node_encryption {
    enabled = true
  }

  domain_endpoint_options {
    enforce_https       = true
    tls_security_policy = "Policy-Min-TLS-1-2-2019-07"
  }

  vpc_options {
    subnet_ids         = slice(var.subnet_ids, 0, 2)
    security_group_ids = [aws_security_group.search.id]
  }

  lifecycle {
    prevent_destroy = true
  }
}

# The worker's signed requests come in, and no others.
resource "aws_opensearch_domain_policy" "search" {
  domain_name = aws_opensearch_domain.search.domain_name

  access_policies = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = aws_iam_role.task.arn }
      Action    = "es:ESHttp*"
      Resource  = "${aws_opensearch_domain.search.arn}/*"
    }]
  })
}

resource "aws_cloudwatch_log_group" "logs" {
  name_prefix       = "${var.name}-logs-"
  retention_in_days = 90
}

resource "aws_ecs_cluster" "strandline" {
  name = "${var.name}-cluster"
}

resource "aws_ecs_task_definition" "worker" {
  family                   = "${var.name}-worker"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = "1024"
  memory                   = "4096"
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn

  volume {
    name = "tmp"
  }

  volume {
    name = "home"
  }

  container_definitions = jsonencode([{
    name                   = "worker"
    image                  = var.image
    command                = ["worker"]
    essential              = true
    stopTimeout            = local.stop_seconds
    readonlyRootFilesystem = true
    portMappings           = [{ containerPort = local.port }]
    environment = [
      { name = "AWS_REGION", value = local.region },
      { name = "STRANDLINE_STREAM", value = local.stream_name },
      { name = "STRANDLINE_APPLICATION", value = local.application },
      { name = "STRANDLINE_DRAIN_SECONDS", value = tostring(local.drain_seconds) },
      { name = "STRANDLINE_FAN_OUT", value = tostring(var.fan_out) },
      { name = "STRANDLINE_CLOUDWATCH_SECONDS", value = tostring(local.metrics_seconds) },
      { name = "STRANDLINE_DATABASE_URL", value = "postgresql://${aws_rds_cluster.database.endpoint}:5432/${local.database}?sslmode=require" },
      { name = "STRANDLINE_DATABASE_PASSWORD_FROM", value = "secret:${local.secret}" },
      { name = "STRANDLINE_OPENSEARCH_URL", value = "https://${aws_opensearch_domain.search.endpoint}" },
      { name = "STRANDLINE_OPENSEARCH_REGION", value = local.region },
      { name = "PGUSER", value = local.login },
    ]
    mountPoints = [
      { sourceVolume = "tmp", containerPath = "/tmp" },
      { sourceVolume = "home", containerPath = "/var/lib/strandline" },
    ]
    healthCheck = {
      command     = ["CMD", "strandline", "worker", "--check"]
      interval    = 15
      timeout     = 5
      retries     = 3
      startPeriod = 60
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.logs.name
        "awslogs-region"        = local.region
        "awslogs-stream-prefix" = "worker"
      }
    }
  }])
}

resource "aws_ecs_service" "worker" {
  name            = "${var.name}-worker"
  cluster         = aws_ecs_cluster.strandline.arn
  task_definition = aws_ecs_task_definition.worker.arn
  desired_count   = var.workers
  launch_type     = "FARGATE"

  network_configuration {
    subnets         = var.subnet_ids
    security_groups = [aws_security_group.worker.id]
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
}

# Rights: the stream, KCL's own tables, reading exports, and the database's password.

data "aws_iam_policy_document" "ecs" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "task" {
  statement {
    actions = [
      "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:GetShardIterator",
      "kinesis:GetRecords",
    ]
    resources = [local.stream_arn]
  }

  dynamic "statement" {
    for_each = var.fan_out ? [1] : []

    content {
      actions   = ["kinesis:RegisterStreamConsumer"]
      resources = [local.stream_arn]
    }
  }

  dynamic "statement" {
    for_each = var.fan_out ? [1] : []

    content {
      actions   = ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"]
      resources = ["${local.stream_arn}/consumer/${local.application}:*"]
    }
  }

  statement {
    actions = [
      "dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTable", "dynamodb:GetItem",
      "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:Scan",
    ]
    resources = local.table_arns
  }

  statement {
    actions   = ["dynamodb:Query"]
    resources = [local.table_arns[0], "${local.table_arns[0]}/index/*"]
  }

  statement {
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.exports.arn]
  }

  statement {
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.exports.arn}/*"]
  }

  statement {
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.key.arn]
  }

  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [local.secret]
  }
}

data "aws_iam_policy_document" "execution" {
  statement {
    actions   = ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["*"]
  }

  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.logs.arn}:*"]
  }
}

resource "aws_iam_role" "task" {
  name_prefix        = "${var.name}-task-"
  assume_role_policy = data.aws_iam_policy_document.ecs.json
}

resource "aws_iam_role_policy" "task" {
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

resource "aws_iam_role" "execution" {
  name_prefix        = "${var.name}-execution-"
  assume_role_policy = data.aws_iam_policy_document.ecs.json
}

resource "aws_iam_role_policy" "execution" {
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}
