//! Messages made from their descriptors: half of the requests are such as the cluster mostly grants (`apt`), where
//! there is one. In the others names are from a small pool, so that calls meet; parts that have to be valid mostly
//! are; everything else is chance.

use std::sync::Arc;

use openshell_proto::datamodel::Provider;
use openshell_proto::pool;
use openshell_proto::v1::PolicyChunk;
use openshell_tests::{policy_allowing, proposal};
use prost::Message;
use prost_reflect::{DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::apt;
use crate::canary::Canary;
use crate::workload::furnish;
use crate::workload::register::plain;

/// Nothing nests deeper.
const DEPTH_MAX: usize = 4;
/// Names that messages speak of.
pub(super) const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];
/// Ids of profiles that messages speak of.
pub(super) const PROFILES: [&str; 3] = ["mixed-one", "mixed-two", "mixed-three"];
/// Names no variable, so that a credential cannot have it.
const NO_VARIABLE: &str = "no variable";
const WORDS: [&str; 6] = ["", "bearer", "rest", "full", "*", "docs.example.com"];

/// What messages speak of.
#[derive(Clone)]
pub(super) struct Pool {
    pub(super) workspaces: Vec<String>,
    pub(super) sandbox_ids: Vec<String>,
    /// The one that providers are made of.
    pub(super) profile: String,
    /// What secrets are made with.
    pub(super) canary: Arc<Canary>,
}

/// Makes messages.
pub(super) struct Maker {
    pool: Pool,
    /// What marks a field as one that holds secrets.
    secret: Option<ExtensionDescriptor>,
}

impl Maker {
    pub(super) fn new(of: Pool) -> Self {
        Self { pool: of, secret: pool().get_extension_by_name("openshell.options.v1.secret") }
    }

    /// Where what is kept is.
    pub(super) fn workspace(&self) -> &str {
        self.pool.workspaces.first().map_or("", String::as_str)
    }

    /// A request of a type. `chunk` is a proposal that it may decide about, if it is one that does.
    pub(super) fn request(
        &self,
        random: &mut StdRng,
        descriptor: &MessageDescriptor,
        chunk: Option<&PolicyChunk>,
    ) -> DynamicMessage {
        let is_apt = random.random_bool(0.5);
        let apt = is_apt.then(|| apt::request(random, &self.pool, descriptor, chunk)).flatten();
        apt.unwrap_or_else(|| self.of(random, descriptor, 0))
    }

    fn of(&self, random: &mut StdRng, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
        if random.random_bool(0.8)
            && let Some(valid) = self.valid(random, descriptor)
        {
            return valid;
        }
        let mut message = DynamicMessage::new(descriptor.clone());
        // What is named is there more often than the rest.
        let often = if depth == 0 { 0.8 } else { 0.4 };
        for field in descriptor.fields() {
            // Without a workspace, a request is about the platform or a workspace that is everybody's.
            let is_bound = matches!(field.name(), "workspace" | "profile_workspace");
            if is_left_alone(&field) || !(is_bound || random.random_bool(often)) {
                continue;
            }
            if let Some(mut value) = self.field(random, &field, depth) {
                if self.secret.as_ref().is_some_and(|secret| field.options().has_extension(secret)) {
                    self.mark(&mut value, field.name());
                }
                message.set_field(&field, value);
            }
        }
        message
    }

    /// Puts a secret in the place of every text.
    fn mark(&self, value: &mut Value, word: &str) {
        match value {
            Value::String(text) => *text = self.pool.canary.secret(word),
            Value::List(values) => values.iter_mut().for_each(|value| self.mark(value, word)),
            Value::Map(values) => values.values_mut().for_each(|value| self.mark(value, word)),
            _ => {}
        }
    }

    fn field(&self, random: &mut StdRng, field: &FieldDescriptor, depth: usize) -> Option<Value> {
        if field.is_map() {
            let entry = field.kind();
            let value = entry.as_message()?.map_entry_value_field();
            let key = NAMES.choose(random).map(|name| MapKey::String((*name).to_owned()))?;
            return Some(Value::Map([(key, self.single(random, &value, depth)?)].into()));
        }
        if field.is_list() {
            let count = random.random_range(0..3);
            return Some(Value::List((0..count).filter_map(|_| self.single(random, field, depth)).collect()));
        }
        self.single(random, field, depth)
    }

    fn single(&self, random: &mut StdRng, field: &FieldDescriptor, depth: usize) -> Option<Value> {
        let small = random.random_range(0_u32..4);
        Some(match field.kind() {
            Kind::String => Value::String(self.text(random, field.name())),
            Kind::Bool => Value::Bool(random.random_bool(0.5)),
            Kind::Bytes => Value::Bytes(vec![1, 2, 3].into()),
            Kind::Double => Value::F64(small.into()),
            Kind::Float => Value::F32(0.5),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(i32::try_from(small).ok()?),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(small.into()),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(if field.name() == "port" { 443 } else { small }),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(small.into()),
            Kind::Enum(kind) => {
                let values: Vec<i32> = kind.values().map(|value| value.number()).collect();
                Value::EnumNumber(*values.choose(random)?)
            }
            Kind::Message(of) if depth < DEPTH_MAX => Value::Message(self.of(random, &of, depth + 1)),
            Kind::Message(_) => return None,
        })
    }

    fn text(&self, random: &mut StdRng, field: &str) -> String {
        match field {
            "workspace" | "profile_workspace" => self.pool.workspaces.choose(random).cloned().unwrap_or_default(),
            "sandbox_id" => self.pool.sandbox_ids.choose(random).cloned().unwrap_or_default(),
            "id" | "type" => one_of(random, &PROFILES),
            "name" | "sandbox_name" | "sandbox" | "provider" | "provider_name" | "principal_subject" | "service" => {
                one_of(random, &NAMES)
            }
            _ => one_of(random, &WORDS),
        }
    }

    /// Parts that are refused when they are left to chance.
    fn valid(&self, random: &mut StdRng, descriptor: &MessageDescriptor) -> Option<DynamicMessage> {
        match descriptor.full_name() {
            "openshell.v1.ProviderProfile" => transcoded(&plain(&one_of(random, &PROFILES), ""), descriptor),
            "openshell.datamodel.v1.Provider" => {
                let mut provider = provider(&self.pool, &one_of(random, &NAMES));
                if random.random_bool(0.25) {
                    // What is said of it has a secret at hand, and may not quote it.
                    let secrets = std::mem::take(&mut provider.credentials).into_values();
                    provider.credentials = secrets.map(|secret| (NO_VARIABLE.to_owned(), secret)).collect();
                }
                transcoded(&provider, descriptor)
            }
            "openshell.sandbox.v1.SandboxPolicy" => transcoded(&policy_allowing("docs.example.com"), descriptor),
            "openshell.v1.PolicyChunk" => transcoded(&proposal("api.example.com"), descriptor),
            "openshell.v1.SandboxSpec" => Some(DynamicMessage::new(descriptor.clone())),
            _ => None,
        }
    }
}

/// A provider of the pool's profile, in its first workspace.
pub(super) fn provider(pool: &Pool, name: &str) -> Provider {
    furnish::provider(name, &pool.profile, pool.workspaces.first().map_or("", String::as_str), &pool.canary)
}

pub(super) fn one_of(random: &mut StdRng, these: &[&str]) -> String {
    these.choose(random).copied().unwrap_or_default().to_owned()
}

/// A message of the program as one of its descriptor.
pub(super) fn transcoded(message: &impl Message, descriptor: &MessageDescriptor) -> Option<DynamicMessage> {
    DynamicMessage::decode(descriptor.clone(), message.encode_to_vec().as_slice()).ok()
}

/// Fields that reach beyond the workspaces of this workload, or take nodes out of the cluster.
fn is_left_alone(field: &FieldDescriptor) -> bool {
    let of = field.parent_message();
    let of_nodes = of.full_name() == "openshell.cluster.v1.ReplaceNodeRequest"
        || of.full_name() == "openshell.cluster.v1.TransferLeadershipRequest";
    let is_tree = field.kind().as_message().is_some_and(|kind| kind.full_name() == "google.protobuf.Struct");
    of_nodes || is_tree || matches!(field.name(), "global" | "all_workspaces" | "issue_token")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::workload::mutating_methods;

    fn maker() -> Maker {
        let workspaces = vec!["w1".to_owned(), "w2".to_owned()];
        let (sandbox_ids, profile) = (vec!["s".to_owned()], PROFILES[0].to_owned());
        Maker::new(Pool { workspaces, sandbox_ids, profile, canary: Arc::new(Canary::of(1)) })
    }

    /// What a method takes.
    fn input(name: &str) -> MessageDescriptor {
        let (service, method) = name.split_once('/').expect("a slash");
        let service = pool().get_service_by_name(service).expect("a service");
        service.methods().find(|one| one.name() == method).expect("a method").input()
    }

    #[test]
    fn every_method_gets_messages_that_encode_and_stay_in_their_workspaces() {
        let mut random = StdRng::seed_from_u64(3);
        let (maker, chunk) = (maker(), PolicyChunk { id: "chunk".to_owned(), ..PolicyChunk::default() });
        for name in mutating_methods() {
            let request = input(&name);
            for _ in 0..200 {
                let message = maker.request(&mut random, &request, Some(&chunk));
                let bytes = message.encode_to_vec();
                let read = DynamicMessage::decode(request.clone(), bytes.as_slice()).expect("it reads back");
                // Not the messages: one in which a field was set to its default differs from one without.
                assert_eq!(read.encoded_len(), bytes.len(), "{name}");
                for (field, value) in message.fields() {
                    assert_ne!(field.name(), "global", "{name}");
                    if field.name() == "workspace" {
                        assert!(["w1", "w2"].contains(&value.as_str().expect("text")), "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_method_that_decides_about_proposals_gets_requests_about_one() {
        let mut random = StdRng::seed_from_u64(3);
        let (maker, chunk) = (maker(), PolicyChunk { id: "chunk".to_owned(), ..PolicyChunk::default() });
        let about: Vec<String> = mutating_methods().into_iter().filter(|name| apt::takes(name).is_some()).collect();
        assert_eq!(about.len(), 5, "{about:?}");
        for name in about {
            let request = input(&name);
            let mut requests = (0..20).map(|_| maker.request(&mut random, &request, Some(&chunk)));
            assert!(requests.any(|one| format!("{one:?}").contains("\"chunk\"")), "{name}");
        }
    }

    #[test]
    fn what_is_marked_as_a_secret_is_one_that_can_be_found() {
        let (mut random, maker) = (StdRng::seed_from_u64(3), maker());
        for (name, field) in [
            ("openshell.v1.OpenShell/CreateProvider", "provider.credentials"),
            ("openshell.v1.OpenShell/ConfigureProviderRefresh", "material"),
        ] {
            let request = input(name);
            let held = (0..200).map(|_| maker.request(&mut random, &request, None)).filter_map(|message| {
                let mut value = Value::Message(message);
                for step in field.split('.') {
                    value = value.as_message()?.get_field_by_name(step)?.into_owned();
                }
                value.as_map().map(|map| map.values().cloned().collect::<Vec<_>>())
            });
            let held: Vec<Value> = held.flatten().collect();
            assert!(!held.is_empty(), "{name}");
            for value in held {
                let text = value.as_str().expect("text");
                assert!(!maker.pool.canary.leaks().find(name, text.as_bytes()).is_empty(), "{name}: {text}");
            }
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_messages() {
        let descriptor = pool().get_message_by_name("openshell.v1.UpdateConfigRequest").expect("a message");
        let made = |seed| {
            let (maker, mut random) = (maker(), StdRng::seed_from_u64(seed));
            (0..20).map(|_| maker.request(&mut random, &descriptor, None)).collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
    }
}
