//! Our descriptor against the released OpenShell 0.0.116 API: the same names, numbers and
//! types, none missing. Fields of our own start at 1000.

use std::collections::BTreeMap;

use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use serde_json::{Map, Value};

/// Our own names that the released API does not have.
const OUR_METHODS: [&str; 1] = ["UpdateProviderProfile"];
const OUR_MESSAGES: [&str; 5] = [
    "openshell.sandbox.v1.LeftOutProfile",
    "openshell.v1.ProviderProfileUpdate",
    "openshell.v1.ProviderProfileUpdateResult",
    "openshell.v1.MissingLogs",
    "openshell.v1.StoredRefreshClaim",
];
const OUR_ENUMS: [&str; 1] = ["openshell.options.v1.Route"];
const OUR_FIELDS_FROM: u32 = 1000;

fn released() -> Map<String, Value> {
    let text = include_str!("../../../tests/vectors/openshell-0.0.116.json");
    serde_json::from_str(text).expect("the released API is JSON")
}

/// A package that the released API has.
fn is_released(package: &str) -> bool {
    ["openshell.v1", "openshell.sandbox.v1", "openshell.datamodel.v1", "openshell.options.v1"].contains(&package)
}

fn kind_name(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(of) => of.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

/// A field's type in the words of the released description.
fn type_name(field: &FieldDescriptor) -> String {
    let kind = field.kind();
    if field.is_map() {
        let entry = kind.as_message().expect("a map's entries are messages").clone();
        let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        return format!("map<{}, {}>", kind_name(&key.kind()), kind_name(&value.kind()));
    }
    let name = kind_name(&kind);
    let in_oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
    match (in_oneof, field.cardinality()) {
        (Some(oneof), _) => format!("oneof {} {name}", oneof.name()),
        (None, Cardinality::Repeated) => format!("repeated {name}"),
        (None, _) if field.field_descriptor_proto().proto3_optional() => format!("optional {name}"),
        (None, _) => name,
    }
}

fn fields(message: &MessageDescriptor) -> BTreeMap<String, (u32, String)> {
    let released = message.fields().filter(|field| field.number() < OUR_FIELDS_FROM);
    released.map(|field| (field.name().to_owned(), (field.number(), type_name(&field)))).collect()
}

fn values(of: &EnumDescriptor) -> BTreeMap<String, i64> {
    of.values().map(|value| (value.name().to_owned(), i64::from(value.number()))).collect()
}

#[test]
fn every_message_has_the_released_fields_numbers_and_types() {
    let released = released();
    let expected = released["messages"].as_object().unwrap();
    assert!(expected.len() > 200, "the released description is whole");
    for (name, fields_expected) in expected {
        let message = openshell_proto::pool().get_message_by_name(name).unwrap_or_else(|| panic!("{name} is missing"));
        let expected: BTreeMap<String, (u32, String)> = fields_expected
            .as_object()
            .unwrap()
            .iter()
            .map(|(field, described)| {
                let number = u32::try_from(described[0].as_u64().unwrap()).unwrap();
                (field.clone(), (number, described[1].as_str().unwrap().to_owned()))
            })
            .collect();
        assert_eq!(fields(&message), expected, "{name}");
    }
    let ours = openshell_proto::pool().all_messages().filter(|message| is_released(message.package_name()));
    let extra: Vec<String> = ours
        .filter(|message| !message.is_map_entry() && !expected.contains_key(message.full_name()))
        .map(|message| message.full_name().to_owned())
        .collect();
    assert_eq!(extra, OUR_MESSAGES, "messages of ours in released packages");
}

#[test]
fn every_enum_has_the_released_values() {
    let released = released();
    let expected = released["enums"].as_object().unwrap();
    for (name, values_expected) in expected {
        let of = openshell_proto::pool().get_enum_by_name(name).unwrap_or_else(|| panic!("{name} is missing"));
        let expected: BTreeMap<String, i64> = values_expected
            .as_object()
            .unwrap()
            .iter()
            .map(|(value, number)| (value.clone(), number.as_i64().unwrap()))
            .collect();
        assert_eq!(values(&of), expected, "{name}");
    }
    let ours = openshell_proto::pool().all_enums().filter(|of| is_released(of.parent_file().package_name()));
    let extra: Vec<String> =
        ours.map(|of| of.full_name().to_owned()).filter(|name| !expected.contains_key(name)).collect();
    assert_eq!(extra, OUR_ENUMS, "enums of ours in released packages");
}

#[test]
fn every_rpc_has_the_released_messages_and_streams() {
    let released = released();
    for (service, methods) in released["services"].as_object().unwrap() {
        let methods = methods.as_object().unwrap();
        let ours =
            openshell_proto::pool().get_service_by_name(service).unwrap_or_else(|| panic!("{service} is missing"));
        let found: BTreeMap<String, MethodDescriptor> =
            ours.methods().map(|method| (method.name().to_owned(), method)).collect();
        for (name, described) in methods {
            let method = found.get(name).unwrap_or_else(|| panic!("{service}/{name} is missing"));
            let text = |field: &str| described[field].as_str().unwrap_or_default().to_owned();
            let flag = |field: &str| described.get(field).and_then(Value::as_bool).unwrap_or(false);
            assert_eq!(method.input().full_name(), text("request"), "{name}");
            assert_eq!(method.output().full_name(), text("response"), "{name}");
            assert_eq!(method.is_client_streaming(), flag("client_streaming"), "{name}");
            assert_eq!(method.is_server_streaming(), flag("server_streaming"), "{name}");
        }
        let extra: Vec<&String> = found.keys().filter(|name| !methods.contains_key(*name)).collect();
        assert_eq!(extra, OUR_METHODS, "RPCs of ours in {service}");
    }
}

#[test]
fn every_public_rpc_declares_a_permission_and_a_route() {
    // Reading the rules panics at the first that does not.
    assert!(openshell_proto::method_rules().len() > 70);
}
