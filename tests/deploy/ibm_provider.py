"""What the documentation of Terraform's provider of IBM Cloud says of the resources that deploy/terraform uses.

Read by hand in November 2026 in the repository IBM-Cloud/terraform-provider-ibm, website/docs/r/NAME.html.markdown:
only what is used here, and a little more. Three arguments are younger than the pages that could be read, and were seen
in use: `host_flavor`, `disable_outbound_traffic_protection`, and `resource_group` of a public gateway.
"""

from dataclasses import dataclass, field

EVERYWHERE = {"for_each", "count", "depends_on", "provider", "lifecycle", "timeouts"}
"""Terraform's own, which any resource may have; timeouts where its page has a section on them."""
LIFECYCLE = {"prevent_destroy", "ignore_changes", "create_before_destroy"}
TIMEOUTS = {"create", "update", "delete"}


@dataclass(frozen=True, slots=True)
class Block:
    """Arguments that must be there, those that may be, blocks inside, and what can be read once it is made."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    blocks: dict[str, "Block"] = field(default_factory=dict)
    attributes: frozenset[str] = frozenset({"id"})


def block(required: str = "", optional: str = "", attributes: str = "", **blocks: Block) -> Block:
    return Block(
        frozenset(required.split()),
        frozenset(optional.split()),
        blocks,
        frozenset({"id", *required.split(), *attributes.split()}),
    )


RESOURCES = {
    "ibm_resource_group": block("name", "tags", "default state"),
    "ibm_is_vpc": block("name", "resource_group tags address_prefix_management", "crn status subnets"),
    "ibm_is_public_gateway": block(
        "name vpc zone", "resource_group tags", "status", floating_ip=block("", "id address")
    ),
    "ibm_is_subnet": block(
        "name vpc zone",
        "ipv4_cidr_block total_ipv4_address_count network_acl public_gateway resource_group routing_table tags",
        "crn status",
    ),
    "ibm_container_vpc_cluster": block(
        "name vpc_id flavor",
        "kube_version worker_count resource_group_id wait_till tags pod_subnet service_subnet worker_labels"
        " disable_public_service_endpoint force_delete_storage update_all_workers disable_outbound_traffic_protection",
        "crn ingress_hostname ingress_secret master_url state",
        zones=block("name subnet_id"),
    ),
    "ibm_cr_namespace": block("name", "resource_group_id tags", "crn account"),
    "ibm_database": block(
        "name plan service location",
        "version service_endpoints resource_group_id configuration tags adminpassword",
        "adminuser status",
        group=block(
            "",
            "group_id",
            members=block("", "allocation_count"),
            host_flavor=block("", "id"),
            memory=block("", "allocation_mb"),
            disk=block("", "allocation_mb"),
            cpu=block("", "allocation_count"),
        ),
    ),
    "ibm_cloudant": block(
        "name plan location",
        "capacity resource_group_id legacy_credentials enable_cors service_endpoints include_data_events tags",
        "crn guid extensions",
    ),
    "ibm_resource_instance": block(
        "name service plan location", "resource_group_id tags parameters service_endpoints", "guid status"
    ),
    "ibm_cos_bucket": block(
        "bucket_name resource_instance_id storage_class",
        "region_location cross_region_location single_site_location endpoint_type force_delete hard_quota key_protect",
        "crn",
        object_versioning=block("", "enable"),
        expire_rule=block("enable days", "rule_id prefix"),
    ),
    "ibm_resource_key": block("name role", "resource_instance_id parameters tags", "credentials credentials_json crn"),
    # `instance_id` and `region` are in the examples of their pages, and of all of Secrets Manager.
    "ibm_sm_secret_group": block("name instance_id", "region description", "secret_group_id"),
    "ibm_sm_arbitrary_secret": block(
        "name payload instance_id", "region description secret_group_id labels expiration_date custom_metadata", "crn"
    ),
}
VARIABLE = {"description", "type", "default", "sensitive", "nullable", "validation"}
OUTPUT = {"description", "value", "sensitive"}
