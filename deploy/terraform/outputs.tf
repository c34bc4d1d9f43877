output "stream_name" {
  value = local.stream_name
}

output "exports_bucket" {
  value = aws_s3_bucket.exports.bucket
}

output "digests_bucket" {
  value = aws_s3_bucket.digests.bucket
}

output "database_endpoint" {
  value = aws_rds_cluster.database.endpoint
}

output "search_endpoint" {
  value = aws_opensearch_domain.search.endpoint
}

output "cluster" {
  value = aws_ecs_cluster.strandline.name
}

output "service" {
  value = aws_ecs_service.worker.name
}
