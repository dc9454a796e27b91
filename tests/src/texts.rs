//! Files as people write them for the command line, as text.

use crate::fixtures::token_variable;

/// A policy of one rule, `documentation`, for `docs.example.com`.
pub const POLICY_FILE: &str = "\
version: 1
network_policies:
  documentation:
    name: Documentation
    endpoints:
      - {host: docs.example.com, port: 443, protocol: rest, access: read-only}
    binaries:
      - {path: /usr/bin/curl}
";

/// The profile `acme-api` with one token, in `ACME_TOKEN`, for `api.acme.example`.
pub const PROFILE_FILE: &str = "\
id: acme-api
display_name: Acme API
description: What Acme sells.
category: data
credentials:
  - name: api_token
    env_vars: [ACME_TOKEN]
    required: true
    auth_style: bearer
    header_name: authorization
endpoints:
  - {host: api.acme.example, port: 443, protocol: rest, access: full}
binaries: [/usr/bin/curl]
";

/// The profile `minted`, whose token the cluster mints at `TOKEN_URL`: whoever writes the file puts the URL
/// of an issuer there.
pub const MINTED_PROFILE_FILE: &str = "\
id: minted
display_name: Minted
credentials:
  - name: token
    env_vars: [MINTED_TOKEN]
    auth_style: bearer
    header_name: authorization
    refresh:
      strategy: oauth2_client_credentials
      token_url: TOKEN_URL
      material:
        - {name: client_id, required: true}
        - {name: client_secret, required: true, secret: true}
endpoints:
  - {host: minted.example.com, port: 443, protocol: rest, access: full}
";

/// What [`profile`](crate::profile) makes, for one host, as a file.
#[must_use]
pub fn profile_file(id: &str, host: &str) -> String {
    let variable = token_variable(id);
    format!(
        "\
id: {id}
display_name: Profile {id}
category: other
credentials:
  - name: token
    env_vars: [{variable}]
    required: true
    auth_style: bearer
    header_name: authorization
endpoints:
  - {{host: {host}, port: 443, protocol: rest, access: full}}
"
    )
}
