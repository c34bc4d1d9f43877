variable "name" {
  description = "Begins the names of all resources"
  type        = string
  default     = "strandline"
}

variable "image" {
  description = "The worker's image, by digest (registry/strandline@sha256:…)"
  type        = string
}

variable "vpc_id" {
  description = "The VPC that all of it stands in"
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of that VPC, in two or more availability zones"
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Give two or more subnets, in two or more availability zones."
  }
}

variable "stream" {
  description = "The name of an existing Kinesis stream that QLDB wrote to; without it one is made"
  type        = string
  default     = null
}

variable "workers" {
  description = "How many tasks run the worker"
  type        = number
  default     = 2
}

variable "fan_out" {
  description = "Whether Kinesis pushes the records by enhanced fan-out, at a price"
  type        = bool
  default     = false
}
