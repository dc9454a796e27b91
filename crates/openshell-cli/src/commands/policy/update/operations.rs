//! The flags of `policy update` as merge operations (`cli.md` 2.10). Pure; an error is the sentence to show.

use openshell_proto::sandbox::{L7Allow, L7DenyRule, L7Rule, NetworkBinary, NetworkEndpoint, NetworkPolicyRule};
use openshell_proto::v1::policy_merge_operation::Operation;
use openshell_proto::v1::{
    AddAllowRules, AddDenyRules, AddNetworkRule, PolicyMergeOperation, RemoveNetworkEndpoint, RemoveNetworkRule,
};

use super::UpdateArguments;

const ACCESS: [&str; 3] = ["read-only", "read-write", "full"];
const PROTOCOLS: [&str; 4] = ["tcp", "rest", "websocket", "sql"];
const ENFORCEMENT: [&str; 2] = ["enforce", "audit"];

/// What the flags ask for, in the order in which it is applied.
pub(super) fn from_flags(arguments: &UpdateArguments) -> Result<Vec<PolicyMergeOperation>, String> {
    consistent(arguments)?;
    let mut operations = Vec::new();
    for text in &arguments.add_endpoint {
        operations.push(Operation::AddRule(added(text, arguments)?));
    }
    for text in &arguments.remove_endpoint {
        let at = |why: &str| format!("--remove-endpoint {text}: {why}");
        let (host, port) = text.split_once(':').ok_or_else(|| at("give HOST:PORT"))?;
        let (host, port) = place(host, port).map_err(|why| at(&why))?;
        operations.push(Operation::RemoveEndpoint(RemoveNetworkEndpoint { rule_name: String::new(), host, port }));
    }
    for name in &arguments.remove_rule {
        operations.push(Operation::RemoveRule(RemoveNetworkRule { rule_name: name.clone() }));
    }
    for (host, port, requests) in grouped("--add-allow", &arguments.add_allow)? {
        let allowed = |(method, path)| L7Rule { allow: Some(L7Allow { method, path, ..L7Allow::default() }) };
        let rules = requests.into_iter().map(allowed).collect();
        operations.push(Operation::AddAllowRules(AddAllowRules { host, port, rules }));
    }
    for (host, port, requests) in grouped("--add-deny", &arguments.add_deny)? {
        let denied = |(method, path)| L7DenyRule { method, path, ..L7DenyRule::default() };
        let deny_rules = requests.into_iter().map(denied).collect();
        operations.push(Operation::AddDenyRules(AddDenyRules { host, port, deny_rules }));
    }
    Ok(operations.into_iter().map(|operation| PolicyMergeOperation { operation: Some(operation) }).collect())
}

/// Flags that need or exclude each other.
fn consistent(arguments: &UpdateArguments) -> Result<(), String> {
    let added = arguments.add_endpoint.len();
    let others = [&arguments.remove_endpoint, &arguments.remove_rule, &arguments.add_allow, &arguments.add_deny];
    let refuse = |why: &str| Err(why.to_owned());
    if added == 0 && others.iter().all(|flags| flags.is_empty()) {
        return refuse(
            "there is nothing to change; give --add-endpoint, --remove-endpoint, --remove-rule, --add-allow or \
             --add-deny",
        );
    }
    if arguments.dry_run && arguments.wait {
        return refuse("--wait cannot be combined with --dry-run, which changes nothing");
    }
    if added == 0 && !arguments.binary.is_empty() {
        return refuse("--binary says who may use the endpoints added; give --add-endpoint with it");
    }
    if added != 1 && arguments.rule_name.is_some() {
        return refuse("--rule-name names the rule of one endpoint; give --add-endpoint with it, once");
    }
    Ok(())
}

/// Host and port, checked.
fn place(host: &str, port: &str) -> Result<(String, u32), String> {
    if host.is_empty() || host.contains(char::is_whitespace) || host.contains('/') {
        return Err(format!("'{host}' is not a host"));
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok((host.to_owned(), u32::from(port))),
        Ok(_) | Err(_) => Err(format!("'{port}' is not a port; give a number from 1 to 65535")),
    }
}

/// One `--add-endpoint`, as a rule.
fn added(text: &str, arguments: &UpdateArguments) -> Result<AddNetworkRule, String> {
    let endpoint = endpoint(text).map_err(|why| format!("--add-endpoint {text}: {why}"))?;
    let rule_name = match &arguments.rule_name {
        Some(name) => name.clone(),
        None => default_rule_name(&endpoint.host, endpoint.port),
    };
    let binary = |path: &String| NetworkBinary { path: path.clone(), ..NetworkBinary::default() };
    let binaries = arguments.binary.iter().map(binary).collect();
    let rule = NetworkPolicyRule { name: rule_name.clone(), endpoints: vec![endpoint], binaries };
    Ok(AddNetworkRule { rule_name, rule: Some(rule) })
}

fn default_rule_name(host: &str, port: u32) -> String {
    let plain: String = host
        .chars()
        .filter_map(|letter| match letter {
            '.' | '-' => Some('_'),
            _ => letter.is_ascii_alphanumeric().then_some(letter),
        })
        .collect();
    format!("allow_{plain}_{port}")
}

fn endpoint(text: &str) -> Result<NetworkEndpoint, String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [host, port, ..] = parts[..] else { return Err("give HOST:PORT at least".to_owned()) };
    let part = |at: usize| parts.get(at).copied().unwrap_or("");
    let (access, protocol, enforcement) = (part(2), part(3), part(4));
    let (host, port) = place(host, port)?;
    for (what, word, known) in [
        ("access", access, &ACCESS[..]),
        ("protocol", protocol, &PROTOCOLS[..]),
        ("enforcement", enforcement, &ENFORCEMENT[..]),
    ] {
        if !word.is_empty() && !known.contains(&word) {
            return Err(format!("{what} '{word}' is unknown; use {}", known.join(", ")));
        }
    }
    if parts.len() > 2 && access.is_empty() && protocol.is_empty() {
        return Err("the access is empty; it can be only where a protocol follows".to_owned());
    }
    if !enforcement.is_empty() && protocol.is_empty() {
        return Err("enforcement needs a protocol".to_owned());
    }
    if protocol == "tcp" && !(access.is_empty() && enforcement.is_empty()) {
        return Err("protocol tcp takes neither access nor enforcement".to_owned());
    }
    let mut endpoint = NetworkEndpoint {
        host,
        port,
        access: access.to_owned(),
        protocol: protocol.to_owned(),
        enforcement: enforcement.to_owned(),
        ..NetworkEndpoint::default()
    };
    if let Some(options) = parts.get(5) {
        options.split(',').try_for_each(|option| apply_option(&mut endpoint, option))?;
    }
    Ok(endpoint)
}

fn apply_option(endpoint: &mut NetworkEndpoint, option: &str) -> Result<(), String> {
    let protocol = endpoint.protocol.as_str();
    match (option.split_once('='), option) {
        (Some(("allowed-ip", address)), _) if !address.is_empty() => endpoint.allowed_ips.push(address.to_owned()),
        (None, "allow-uninspected-credentials") => endpoint.allow_uninspected_credentials = true,
        (None, "websocket-credential-rewrite") => {
            if !matches!(protocol, "rest" | "websocket") {
                return Err(format!("{option} needs protocol rest or websocket"));
            }
            endpoint.websocket_credential_rewrite = true;
        }
        (None, "request-body-credential-rewrite") => {
            if protocol != "rest" {
                return Err(format!("{option} needs protocol rest"));
            }
            endpoint.request_body_credential_rewrite = true;
        }
        _ => {
            return Err(format!(
                "option '{option}' is unknown; use allow-uninspected-credentials, websocket-credential-rewrite, \
                 request-body-credential-rewrite or allowed-ip=ADDRESS"
            ));
        }
    }
    Ok(())
}

/// Requests of one host and port: method and path of each.
type Requests = (String, u32, Vec<(String, String)>);

/// `HOST:PORT:METHOD:PATH`, by host and port in the order in which these come first.
fn grouped(flag: &str, texts: &[String]) -> Result<Vec<Requests>, String> {
    let mut groups: Vec<Requests> = Vec::new();
    for text in texts {
        let at = |why: &str| format!("{flag} {text}: {why}");
        let parts: Vec<&str> = text.splitn(4, ':').collect();
        let [host, port, method, path] = parts[..] else { return Err(at("give HOST:PORT:METHOD:PATH")) };
        let (host, port) = place(host, port).map_err(|why| at(&why))?;
        if method.is_empty() {
            return Err(at("the method is empty; give one, or * for any"));
        }
        if !(path.starts_with('/') || path == "**" || path.starts_with("**/")) {
            return Err(at("the path must begin with '/' or be '**'"));
        }
        let request = (method.to_ascii_uppercase(), path.to_owned());
        match groups.iter_mut().find(|group| group.0 == host && group.1 == port) {
            Some(group) => group.2.push(request),
            None => groups.push((host, port, vec![request])),
        }
    }
    Ok(groups)
}

#[cfg(test)]
mod tests;
