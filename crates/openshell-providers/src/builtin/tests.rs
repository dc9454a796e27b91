//! The embedded files against the tables of providers.md 8.1 to 8.4.

use openshell_proto::sandbox::NetworkEndpoint;
use openshell_proto::v1::{ProviderCredentialRefresh, ProviderCredentialRefreshStrategy as Strategy};

use super::*;
use crate::{predicates, validate};

fn built_in(id: &str) -> &'static ProviderProfile {
    catalogue().iter().find(|profile| profile.id == id).unwrap()
}

#[test]
fn the_catalogue_is_valid_and_in_the_order_of_its_ids() {
    let labelled: Vec<(&str, &ProviderProfile)> = catalogue().iter().map(|profile| (SOURCE, profile)).collect();
    assert_eq!(validate::profiles(&labelled), []);
    assert!(catalogue().iter().map(|profile| &profile.id).is_sorted());
}

#[test]
fn the_overview_holds() {
    let row = |profile: &ProviderProfile| {
        let discovery = profile.discovery.iter().flat_map(|found| found.credentials.clone()).collect::<Vec<_>>();
        format!(
            "{}|{}|{}|{}|{} {} {}|{}",
            profile.id,
            profile.display_name,
            profile.category().as_str_name().trim_start_matches("PROVIDER_PROFILE_CATEGORY_").to_lowercase(),
            profile.inference_capable,
            profile.credentials.len(),
            profile.endpoints.len(),
            profile.binaries.len(),
            discovery.join(" "),
        )
    };
    let rows: Vec<String> = catalogue().iter().map(row).collect();
    assert_eq!(
        rows,
        [
            "aws|AWS|other|false|3 0 0|",
            "aws-bedrock|AWS Bedrock|inference|true|4 0 0|",
            "aws-s3|AWS S3|other|false|3 6 8|",
            "claude-code|Claude Code|agent|true|1 3 2|api_key",
            "codex|Codex|agent|true|4 4 3|access_token refresh_token account_id id_token",
            "copilot|GitHub Copilot|agent|false|1 7 2|api_token",
            "cursor|Cursor|agent|false|0 5 3|",
            "deepinfra|DeepInfra|inference|true|1 1 2|api_key",
            "github|GitHub|source_control|false|1 3 4|api_token",
            "google-cloud|Google Cloud (GCP APIs)|other|false|2 0 0|service_account_token adc_token",
            "google-vertex-ai|Google Vertex AI|inference|true|3 4 0|service_account_token gcloud_adc_token",
            "nvidia|NVIDIA|inference|true|1 1 2|api_key",
        ]
    );
}

#[test]
fn the_common_facts_hold() {
    for profile in catalogue() {
        assert_eq!((profile.resource_version, profile.source.as_str(), profile.scope.as_str()), (0, "builtin", ""));
        assert!(profile.annotations.is_empty());
        for credential in &profile.credentials {
            assert!(credential.token_grant.is_none());
            assert_eq!((credential.query_param.as_str(), credential.path_template.as_str()), ("", ""));
        }
        for endpoint in &profile.endpoints {
            // Whatever the endpoint table does not list is at its default.
            let listed = NetworkEndpoint {
                host: endpoint.host.clone(),
                port: 443,
                protocol: endpoint.protocol.clone(),
                tls: endpoint.tls.clone(),
                access: endpoint.access.clone(),
                enforcement: endpoint.enforcement.clone(),
                rules: endpoint.rules.clone(),
                path: endpoint.path.clone(),
                credential_signing: endpoint.credential_signing.clone(),
                signing_service: endpoint.signing_service.clone(),
                signing_region: endpoint.signing_region.clone(),
                allow_uninspected_credentials: endpoint.allow_uninspected_credentials,
                ..Default::default()
            };
            assert_eq!(*endpoint, listed);
        }
        assert!(profile.binaries.iter().all(|binary| !binary.harness));
    }
}

fn refresh_word(refresh: &Option<ProviderCredentialRefresh>) -> &'static str {
    match refresh.as_ref().map(ProviderCredentialRefresh::strategy) {
        None => "-",
        Some(Strategy::AwsStsAssumeRole) => "R-STS",
        Some(Strategy::GoogleServiceAccountJwt) => "R-GJWT",
        Some(Strategy::Oauth2RefreshToken) => "R-ADC",
        Some(other) => panic!("no built-in profile uses {other:?}"),
    }
}

#[test]
fn the_credentials_are_those_of_the_table() {
    let mut rows = Vec::new();
    for profile in catalogue() {
        for credential in &profile.credentials {
            rows.push(format!(
                "{} {} {} {} {}/{} {}",
                profile.id,
                credential.name,
                credential.env_vars.join(","),
                if credential.required { "yes" } else { "no" },
                credential.auth_style,
                credential.header_name,
                refresh_word(&credential.refresh),
            ));
        }
    }
    assert_eq!(
        rows,
        [
            "aws access_key_id AWS_ACCESS_KEY_ID yes / R-STS",
            "aws secret_access_key AWS_SECRET_ACCESS_KEY yes / -",
            "aws session_token AWS_SESSION_TOKEN yes / -",
            "aws-bedrock aws_access_key_id AWS_ACCESS_KEY_ID no / -",
            "aws-bedrock aws_secret_access_key AWS_SECRET_ACCESS_KEY no / -",
            "aws-bedrock aws_session_token AWS_SESSION_TOKEN no / -",
            "aws-bedrock aws_region AWS_REGION,AWS_DEFAULT_REGION no / -",
            "aws-s3 access_key_id AWS_ACCESS_KEY_ID yes / R-STS",
            "aws-s3 secret_access_key AWS_SECRET_ACCESS_KEY yes / -",
            "aws-s3 session_token AWS_SESSION_TOKEN yes / -",
            "claude-code api_key ANTHROPIC_API_KEY,CLAUDE_API_KEY yes header/x-api-key -",
            "codex access_token CODEX_AUTH_ACCESS_TOKEN yes / -",
            "codex refresh_token CODEX_AUTH_REFRESH_TOKEN yes / -",
            "codex account_id CODEX_AUTH_ACCOUNT_ID yes / -",
            "codex id_token CODEX_AUTH_ID_TOKEN no / -",
            "copilot api_token COPILOT_GITHUB_TOKEN,GH_TOKEN,GITHUB_TOKEN yes bearer/authorization -",
            "deepinfra api_key DEEPINFRA_API_KEY yes bearer/authorization -",
            "github api_token GITHUB_TOKEN,GH_TOKEN yes bearer/authorization -",
            "google-cloud service_account_token GCP_SA_ACCESS_TOKEN no bearer/authorization R-GJWT",
            "google-cloud adc_token GCP_ADC_ACCESS_TOKEN no bearer/authorization R-ADC",
            "google-vertex-ai service_account_key GOOGLE_SERVICE_ACCOUNT_KEY no / -",
            "google-vertex-ai service_account_token \
             GOOGLE_VERTEX_AI_SERVICE_ACCOUNT_TOKEN,VERTEX_AI_SERVICE_ACCOUNT_TOKEN no bearer/authorization R-GJWT",
            "google-vertex-ai gcloud_adc_token GOOGLE_VERTEX_AI_TOKEN,VERTEX_AI_TOKEN no bearer/authorization R-ADC",
            "nvidia api_key NVIDIA_API_KEY yes bearer/authorization -",
        ]
    );
}

#[test]
fn the_refreshes_are_those_of_the_table() {
    for refresh in
        catalogue().iter().flat_map(|profile| &profile.credentials).filter_map(|found| found.refresh.as_ref())
    {
        assert_eq!((refresh.refresh_before_seconds, refresh.max_lifetime_seconds), (300, 3600));
        let flag = |set: bool| if set { "y" } else { "n" };
        let material = refresh.material.iter();
        let material: Vec<_> = material
            .map(|material| format!("{} {}{}", material.name, flag(material.required), flag(material.secret)))
            .collect();
        let outputs = refresh.additional_outputs.iter();
        let outputs: Vec<_> = outputs.map(|output| format!("{} {}", output.output, output.credential)).collect();
        match refresh_word(&Some(refresh.clone())) {
            "R-STS" => {
                assert_eq!((refresh.token_url.as_str(), refresh.scopes.len()), ("", 0));
                assert_eq!(outputs, ["secret_access_key secret_access_key", "session_token session_token"]);
                let wanted = "role_arn yn,session_name nn,external_id nn,aws_region nn,aws_access_key_id nn,\
                              aws_secret_access_key ny,aws_session_token ny";
                assert_eq!(material.join(","), wanted);
            }
            google => {
                assert_eq!(refresh.token_url, "https://oauth2.googleapis.com/token");
                assert_eq!(refresh.scopes, ["https://www.googleapis.com/auth/cloud-platform"]);
                assert!(outputs.is_empty());
                let wanted = if google == "R-GJWT" {
                    "client_email yn,private_key yy,subject nn"
                } else {
                    "client_id yn,client_secret yy,refresh_token yy"
                };
                assert_eq!(material.join(","), wanted);
            }
        }
    }
}

/// Asserts the endpoints of a profile: whatever is set in a row, in the columns' order.
fn check_endpoints(id: &str, wanted: &[&str]) {
    let row = |endpoint: &NetworkEndpoint| {
        let mut words = vec![endpoint.host.as_str(), &endpoint.protocol, &endpoint.access, &endpoint.enforcement];
        words.extend([endpoint.tls.as_str(), &endpoint.credential_signing, &endpoint.signing_service]);
        words.extend([endpoint.signing_region.as_str(), &endpoint.path]);
        words.extend(endpoint.allow_uninspected_credentials.then_some("opt-in"));
        words.retain(|word| !word.is_empty());
        words.join(" ")
    };
    let rows: Vec<String> = built_in(id).endpoints.iter().map(row).collect();
    assert_eq!(rows, wanted, "{id}");
}

/// Asserts that the endpoints are these hosts, readable and writable over REST, and then the others.
fn check_rest(id: &str, hosts: &[&str], others: &[&str]) {
    let rows: Vec<String> = hosts.iter().map(|host| format!("{host} rest read-write enforce")).collect();
    let wanted: Vec<&str> = rows.iter().map(String::as_str).chain(others.iter().copied()).collect();
    check_endpoints(id, &wanted);
}

#[test]
fn the_endpoints_are_those_of_the_table() {
    check_endpoints(
        "aws-s3",
        &[
            "*.s3.amazonaws.com rest read-write enforce terminate sigv4 s3 us-east-1",
            "s3.amazonaws.com rest read-write enforce terminate sigv4 s3 us-east-1",
            "*.s3.*.amazonaws.com rest read-write enforce terminate sigv4 s3",
            "s3.*.amazonaws.com rest read-write enforce terminate sigv4 s3",
            "*.s3.dualstack.*.amazonaws.com rest read-write enforce terminate sigv4 s3",
            "s3.dualstack.*.amazonaws.com rest read-write enforce terminate sigv4 s3",
        ],
    );
    check_rest("claude-code", &["api.anthropic.com", "statsig.anthropic.com", "sentry.io"], &[]);
    check_rest("codex", &["api.openai.com", "auth.openai.com", "chatgpt.com", "ab.chatgpt.com"], &[]);
    check_rest(
        "copilot",
        &[
            "api.githubcopilot.com",
            "api.individual.githubcopilot.com",
            "api.business.githubcopilot.com",
            "api.enterprise.githubcopilot.com",
            "copilot-proxy.githubusercontent.com",
        ],
        &["telemetry.enterprise.githubcopilot.com opt-in", "default.exp-tas.com opt-in"],
    );
    check_endpoints(
        "cursor",
        &[
            "cursor.blob.core.windows.net",
            "api2.cursor.sh",
            "repo.cursor.sh",
            "download.cursor.sh",
            "cursor.download.prss.microsoft.com",
        ],
    );
    check_rest("deepinfra", &["api.deepinfra.com"], &[]);
    check_endpoints(
        "github",
        &[
            "api.github.com rest read-only enforce",
            "api.github.com graphql read-only enforce /graphql",
            "github.com rest enforce",
        ],
    );
    check_rest(
        "google-vertex-ai",
        &[
            "*-aiplatform.googleapis.com",
            "aiplatform.googleapis.com",
            "aiplatform.us.rep.googleapis.com",
            "aiplatform.eu.rep.googleapis.com",
        ],
        &[],
    );
    check_rest("nvidia", &["integrate.api.nvidia.com"], &[]);
}

#[test]
fn github_allows_cloning_and_no_pushing() {
    let rules = built_in("github").endpoints.iter().flat_map(|endpoint| &endpoint.rules);
    let rules: Vec<_> = rules.filter_map(|rule| rule.allow.as_ref()).collect();
    let rows: Vec<_> = rules.iter().map(|allow| (allow.method.as_str(), allow.path.as_str())).collect();
    assert_eq!(rows, [("GET", "**"), ("HEAD", "**"), ("OPTIONS", "**"), ("POST", "/**/git-upload-pack")]);
}

#[test]
fn the_binaries_are_those_of_the_table() {
    let check = |id: &str, wanted: &str| {
        let paths: Vec<_> = built_in(id).binaries.iter().map(|binary| binary.path.as_str()).collect();
        assert_eq!(paths.join(" "), wanted, "{id}");
    };
    check(
        "aws-s3",
        "/sandbox/.venv/bin/python /sandbox/.venv/bin/python3 /sandbox/.uv/python/** /usr/bin/python3 \
         /usr/bin/python3.* /usr/bin/curl /usr/local/bin/aws /bin/bash",
    );
    check("claude-code", "/usr/bin/claude /usr/local/bin/claude");
    check("codex", "/usr/bin/codex /usr/local/bin/codex /usr/lib/node_modules/@openai/**");
    check("copilot", "/usr/bin/copilot /usr/lib/node_modules/@github/copilot/node_modules/@github/**/copilot");
    check("cursor", "/usr/bin/curl /usr/bin/wget /sandbox/.cursor-server/**");
    check("deepinfra", "/usr/bin/curl /usr/local/bin/curl");
    check("github", "/usr/bin/gh /usr/local/bin/gh /usr/bin/git /usr/local/bin/git");
    check("nvidia", "/usr/bin/curl /usr/local/bin/curl");
    for id in ["aws", "aws-bedrock", "google-cloud", "google-vertex-ai"] {
        check(id, "");
    }
}

#[test]
fn providers_without_credentials_are_allowed_where_something_resolves_at_run_time() {
    let allowed = catalogue().iter().filter(|profile| predicates::allows_empty_credentials(profile));
    let ids: Vec<_> = allowed.map(|profile| profile.id.as_str()).collect();
    assert_eq!(ids, ["aws", "aws-s3", "google-cloud", "google-vertex-ai"]);
}
