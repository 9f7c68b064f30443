//! Forms that Rust's types do not say.

use schemars::{Schema, SchemaGenerator, json_schema};

/// `90s`, `2m`, `1h`.
pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "nullable": true, "pattern": "^[0-9]{1,9}(s|m|h)$",
    })
}

/// Four numbers up to 255, or hexadecimal groups: what the API server can tell from a mistyped
/// address. The agent reads the rest.
const ADDRESS: &str = r"^([0-9a-fA-F]*:[0-9a-fA-F:.]+|((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9]))$";

/// An IPv4 or IPv6 address.
pub(super) fn address(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 2, "maxLength": 45, "pattern": ADDRESS,
    })
}

/// The same, where it may be left out.
pub(super) fn optional_address(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 2, "maxLength": 45, "pattern": ADDRESS,
        "nullable": true,
    })
}

/// Four numbers with dots.
pub(super) fn dotted(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "ipv4" })
}

/// An AS number.
pub(super) fn asn(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": 4_294_967_294_u32 })
}

/// The same, where it may be left out.
pub(super) fn optional_asn(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "integer", "format": "int64", "minimum": 1, "maximum": 4_294_967_294_u32,
        "nullable": true,
    })
}

/// A word or a number.
pub(super) fn word_or_number(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true, "nullable": true })
}

/// Prefixes, each with the lengths that it admits; or a word for what a node has.
pub(super) fn ranges(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 1000,
        "items": {"type": "string", "minLength": 3, "maxLength": 64},
    })
}

/// Communities, as `64512:100`.
pub(super) fn communities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 100,
        "items": {"type": "string", "pattern": "^([0-9]{1,5}:[0-9]{1,5}|[a-zA-Z-]+)$"},
    })
}

/// Address families.
pub(super) fn families(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "nullable": true, "minItems": 1, "maxItems": 2,
        "items": {"type": "string", "enum": ["ipv4", "ipv6"]},
    })
}

/// A label selector, as everywhere in Kubernetes.
pub(super) fn selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "nullable": true,
        "properties": {
            "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
            "matchExpressions": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"type": "string"},
                        "operator": {
                            "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {"type": "array", "items": {"type": "string"}},
                    },
                },
            },
        },
    })
}

/// An object whose keys the agent checks.
pub(super) fn open(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true,
    })
}
