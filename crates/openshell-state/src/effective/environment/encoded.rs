//! An environment as it is kept: encoded, but for its variables, of which credentials stay sealed. They
//! are opened for one answer at a time.

use std::collections::BTreeMap;
use std::ops::Range;

use openshell_proto::v1::GetSandboxProviderEnvironmentResponse;
use prost::Message;
use zeroize::Zeroize;

use crate::decide::provider;
use crate::decision::Opener;
use crate::refusal::Refusal;

/// A sandbox's environment at one moment, its credentials sealed.
#[derive(Clone, Debug)]
pub struct Environment {
    /// In order of their names.
    variables: Box<[(String, Variable)]>,
    /// The fields after the variables, in order of their numbers.
    rest: Box<[u8]>,
    /// Within `rest`: when credentials expire.
    expiries: Range<usize>,
    /// Within `rest`: where credentials may be used.
    bindings: Range<usize>,
    /// From when it was composed until some credential expires, and another answer is due.
    valid_ms: Range<i64>,
    /// `provider_env_revision`.
    revision: u64,
}

/// The value of a variable.
#[derive(Clone, Debug)]
pub(super) enum Variable {
    /// No secret.
    Open(String),
    /// A credential, as its provider holds it.
    Sealed { workspace: String, provider: String, sealed: String },
}

impl Environment {
    /// `answer` has everything but the variables. `valid_ms` ends with `i64::MAX` when nothing expires.
    pub(super) fn new(
        answer: GetSandboxProviderEnvironmentResponse,
        variables: BTreeMap<String, Variable>,
        valid_ms: Range<i64>,
    ) -> Self {
        type Answer = GetSandboxProviderEnvironmentResponse;
        let revision = answer.provider_env_revision;
        let mut rest = Vec::new();
        let mut field = |part: Answer| {
            let begin = rest.len();
            part.encode(&mut rest).expect("a vector has room");
            begin..rest.len()
        };
        field(Answer { provider_env_revision: revision, ..Answer::default() });
        let expiries = field(Answer { credential_expires_at_ms: answer.credential_expires_at_ms, ..Answer::default() });
        field(Answer { dynamic_credentials: answer.dynamic_credentials, ..Answer::default() });
        let bindings =
            field(Answer { static_credential_bindings: answer.static_credential_bindings, ..Answer::default() });
        field(Answer { non_secret_environment_keys: answer.non_secret_environment_keys, ..Answer::default() });
        Self { variables: variables.into_iter().collect(), rest: rest.into(), expiries, bindings, valid_ms, revision }
    }

    /// Whether composing again on the same state, at `now_ms`, would come to the same.
    #[must_use]
    pub fn holds_at(&self, now_ms: i64) -> bool {
        self.valid_ms.contains(&now_ms)
    }

    /// `provider_env_revision`: together with [`Environment::valid_until_ms`] it says whether two environments
    /// of a sandbox are the same.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// From this moment on another answer is due: the earliest expiry of a credential of the attached
    /// providers, in milliseconds since the Unix epoch. None when nothing expires.
    #[must_use]
    pub fn valid_until_ms(&self) -> Option<i64> {
        (self.valid_ms.end != i64::MAX).then_some(self.valid_ms.end)
    }

    /// About how many bytes of memory this takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let content = |(name, variable): &(String, Variable)| {
            let value = match variable {
                Variable::Open(value) => value.len(),
                Variable::Sealed { workspace, provider, sealed } => workspace.len() + provider.len() + sealed.len(),
            };
            size_of::<(String, Variable)>() + name.len() + value
        };
        size_of::<Self>() + self.rest.len() + self.variables.iter().map(content).sum::<usize>()
    }

    /// The encoded answer, with its credentials in plain text: to be sent and forgotten. For a supervisor that
    /// cannot bind credentials to endpoints (`static_bindings` is false) it holds none (PE-19).
    ///
    /// # Errors
    /// `INTERNAL` when a credential does not open: it was sealed by another key, or the record was
    /// changed. The text names the provider and the key.
    pub fn answer(&self, opener: &dyn Opener, static_bindings: bool) -> Result<Vec<u8>, Refusal> {
        let mut environment = BTreeMap::new();
        for (name, variable) in &self.variables {
            match variable {
                Variable::Open(value) => drop(environment.insert(name.clone(), value.clone())),
                Variable::Sealed { workspace, provider, sealed } if static_bindings => {
                    let plain = provider::open(opener, workspace, provider, name, sealed);
                    let plain = plain.ok_or_else(|| {
                        Refusal::internal(format!(
                            "credential {name:?} of provider {provider:?} in workspace {workspace:?} does not open with \
                             this node's secrets key; set it again"
                        ))
                    })?;
                    environment.insert(name.clone(), plain);
                }
                Variable::Sealed { .. } => {}
            }
        }
        let mut variables =
            GetSandboxProviderEnvironmentResponse { environment, ..GetSandboxProviderEnvironmentResponse::default() };
        // Sized first: a vector that grows leaves copies behind.
        let mut answer = Vec::with_capacity(variables.encoded_len() + self.rest.len());
        variables.encode(&mut answer).expect("a vector has room");
        variables.environment.values_mut().for_each(Zeroize::zeroize);
        if static_bindings {
            answer.extend_from_slice(&self.rest);
        } else {
            let parts =
                [0..self.expiries.start, self.expiries.end..self.bindings.start, self.bindings.end..self.rest.len()];
            parts.into_iter().for_each(|part| answer.extend_from_slice(&self.rest[part]));
        }
        Ok(answer)
    }
}
