# The key of IBM Cloud is read from the variable IC_API_KEY of the environment: it is in no file and in no state.
terraform {
  required_version = ">= 1.6"

  required_providers {
    ibm = {
      source  = "IBM-Cloud/ibm"
      version = "~> 1.87"
    }
  }
}

provider "ibm" {
  region = var.region
}
