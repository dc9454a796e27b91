#!/usr/bin/env python3
"""Computes the hashes of a sandbox's configuration and environment from their written layouts.

Nothing here comes from the gateway: the protobuf encoder, the layouts and the inputs are this file's own, so that
tests compare the gateway with something that is not itself. `hashes.py` writes `hashes.json` beside itself;
`hashes.py -` writes to standard output. Python 3, its standard library, nothing else.

Layouts: config.md EC-50 (policy_hash), EC-52 (config_revision), ER-1 (provider_env_revision), PE-13
(workload_credential_handle), with the departures that docs/compatibility.md lists: a profile's source_revision is a hash
of that profile alone (ER-4), the names of sealed credentials are hashed after those of plain ones (ER-1), and maps are
encoded in order of their keys, defaults in their entries left out (ER-5).
"""

import base64
import copy
import hashlib
import json
import os
import struct
import sys

# Messages: (number, name, type). A type may begin with "repeated ", "optional " or be "map TYPE" with text as keys.
MESSAGES = {
    "SandboxPolicy": [
        (1, "version", "uint32"),
        (2, "filesystem", "FilesystemPolicy"),
        (3, "landlock", "LandlockPolicy"),
        (4, "process", "ProcessPolicy"),
        (5, "network_policies", "map NetworkPolicyRule"),
        (6, "network_middlewares", "map NetworkMiddlewareConfig"),
    ],
    "FilesystemPolicy": [
        (1, "include_workdir", "bool"),
        (2, "read_only", "repeated string"),
        (3, "read_write", "repeated string"),
    ],
    "LandlockPolicy": [(1, "compatibility", "string")],
    "ProcessPolicy": [(1, "run_as_user", "string"), (2, "run_as_group", "string")],
    "NetworkPolicyRule": [
        (1, "name", "string"),
        (2, "endpoints", "repeated NetworkEndpoint"),
        (3, "binaries", "repeated NetworkBinary"),
    ],
    "NetworkBinary": [(1, "path", "string"), (2, "harness", "bool")],
    "NetworkEndpoint": [
        (1, "host", "string"),
        (2, "port", "uint32"),
        (3, "protocol", "string"),
        (4, "tls", "string"),
        (5, "enforcement", "string"),
        (6, "access", "string"),
        (7, "rules", "repeated L7Rule"),
        (8, "allowed_ips", "repeated string"),
        (9, "ports", "repeated uint32"),
        (10, "deny_rules", "repeated L7DenyRule"),
        (11, "allow_encoded_slash", "bool"),
        (12, "persisted_queries", "string"),
        (13, "graphql_persisted_queries", "map GraphqlOperation"),
        (14, "graphql_max_body_bytes", "uint32"),
        (15, "path", "string"),
        (16, "websocket_credential_rewrite", "bool"),
        (17, "request_body_credential_rewrite", "bool"),
        (18, "advisor_proposed", "bool"),
        (19, "credential_signing", "string"),
        (20, "signing_service", "string"),
        (21, "signing_region", "string"),
        (22, "json_rpc_max_body_bytes", "uint32"),
        (23, "mcp", "McpOptions"),
        (24, "credential_binding", "NetworkCredentialBinding"),
        (25, "allow_uninspected_credentials", "bool"),
        (26, "provider_credentialed", "bool"),
    ],
    "L7Rule": [(1, "allow", "L7Allow")],
    "L7Allow": [
        (1, "method", "string"),
        (2, "path", "string"),
        (3, "command", "string"),
        (4, "query", "map L7QueryMatcher"),
        (5, "operation_type", "string"),
        (6, "operation_name", "string"),
        (7, "fields", "repeated string"),
        (9, "params", "map L7QueryMatcher"),
    ],
    "L7QueryMatcher": [(1, "glob", "string"), (2, "any", "repeated string")],
    "GraphqlOperation": [
        (1, "operation_type", "string"),
        (2, "operation_name", "string"),
        (3, "fields", "repeated string"),
    ],
    "McpOptions": [(1, "strict_tool_names", "optional bool"), (2, "allow_all_known_mcp_methods", "optional bool")],
    "NetworkCredentialBinding": [(1, "provider", "string")],
    "NetworkMiddlewareConfig": [
        (1, "name", "string"),
        (2, "middleware", "string"),
        (3, "config", "Struct"),
        (4, "on_error", "string"),
        (5, "endpoints", "MiddlewareEndpointSelector"),
        (6, "order", "int32"),
    ],
    "MiddlewareEndpointSelector": [(1, "include", "repeated string"), (2, "exclude", "repeated string")],
    "SupervisorMiddlewareService": [
        (1, "name", "string"),
        (2, "grpc_endpoint", "string"),
        (3, "max_payload_bytes", "uint64"),
        (4, "timeout", "string"),
        (5, "tls_ca_cert_pem", "bytes"),
        (6, "audience", "string"),
        (7, "allow_insecure_transport", "bool"),
    ],
    "ProviderProfile": [
        (1, "id", "string"),
        (2, "display_name", "string"),
        (3, "description", "string"),
        (4, "category", "enum PROVIDER_PROFILE_CATEGORY"),
        (5, "credentials", "repeated ProviderProfileCredential"),
        (6, "endpoints", "repeated NetworkEndpoint"),
        (7, "binaries", "repeated NetworkBinary"),
        (8, "inference_capable", "bool"),
        (9, "discovery", "ProviderProfileDiscovery"),
        (10, "resource_version", "uint64"),
        (11, "annotations", "map string"),
        (12, "source", "string"),
        (13, "scope", "string"),
    ],
    "ProviderProfileDiscovery": [(1, "credentials", "repeated string")],
    "ProviderProfileCredential": [
        (1, "name", "string"),
        (2, "description", "string"),
        (3, "env_vars", "repeated string"),
        (4, "required", "bool"),
        (5, "auth_style", "string"),
        (6, "header_name", "string"),
        (7, "query_param", "string"),
        (8, "refresh", "ProviderCredentialRefresh"),
        (9, "path_template", "string"),
        (10, "token_grant", "ProviderCredentialTokenGrant"),
    ],
    "ProviderCredentialRefresh": [
        (1, "strategy", "enum PROVIDER_CREDENTIAL_REFRESH_STRATEGY"),
        (2, "token_url", "string"),
        (3, "scopes", "repeated string"),
        (4, "refresh_before_seconds", "int64"),
        (5, "max_lifetime_seconds", "int64"),
        (6, "material", "repeated ProviderCredentialRefreshMaterial"),
        (7, "additional_outputs", "repeated ProviderCredentialRefreshOutput"),
    ],
    "ProviderCredentialRefreshMaterial": [
        (1, "name", "string"),
        (2, "description", "string"),
        (3, "required", "bool"),
        (4, "secret", "bool"),
    ],
    "ProviderCredentialRefreshOutput": [(1, "output", "string"), (2, "credential", "string")],
    "ProviderCredentialTokenGrant": [
        (1, "token_endpoint", "string"),
        (2, "audience", "string"),
        (3, "scopes", "repeated string"),
        (4, "cache_ttl_seconds", "int64"),
        (5, "audience_overrides", "repeated ProviderCredentialTokenGrantAudienceOverride"),
        (6, "jwt_svid_audience", "string"),
        (7, "client_assertion_type", "string"),
        (8, "grant_type", "enum PROVIDER_CREDENTIAL_TOKEN_GRANT_TYPE"),
        (9, "subject_token", "ProviderCredentialTokenGrantSubjectToken"),
        (10, "requested_token_type", "string"),
    ],
    "ProviderCredentialTokenGrantAudienceOverride": [
        (1, "host", "string"),
        (2, "port", "uint32"),
        (3, "path", "string"),
        (4, "audience", "string"),
        (5, "scopes", "repeated string"),
    ],
    "ProviderCredentialTokenGrantSubjectToken": [
        (1, "source", "string"),
        (2, "credential", "string"),
        (3, "subject_token_type", "string"),
    ],
}
MESSAGES["L7DenyRule"] = MESSAGES["L7Allow"]

ENUMS = {
    "PROVIDER_PROFILE_CATEGORY": [
        "UNSPECIFIED", "OTHER", "INFERENCE", "AGENT", "SOURCE_CONTROL", "MESSAGING", "DATA", "KNOWLEDGE",
    ],
    "PROVIDER_CREDENTIAL_REFRESH_STRATEGY": [
        "UNSPECIFIED", "STATIC", "EXTERNAL", "OAUTH2_REFRESH_TOKEN", "OAUTH2_CLIENT_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT_JWT", "AWS_STS_ASSUME_ROLE",
    ],
    "PROVIDER_CREDENTIAL_TOKEN_GRANT_TYPE": ["UNSPECIFIED", "CLIENT_CREDENTIALS", "TOKEN_EXCHANGE"],
    "POLICY_SOURCE": ["UNSPECIFIED", "SANDBOX", "GLOBAL"],
    "SETTING_SCOPE": ["UNSPECIFIED", "SANDBOX", "GLOBAL"],
}
STRATEGY = "PROVIDER_CREDENTIAL_REFRESH_STRATEGY_"


def number_of(enum, word):
    return ENUMS[enum].index(word.removeprefix(enum + "_"))


# ---- protobuf: fields in ascending order, defaults left out, numbers packed, presence of messages and optionals kept.


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def delimited(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


NUMBERS = ("bool", "int32", "int64", "uint32", "uint64")


def scalar(kind, value):
    """(wire type, bytes) of a value."""
    if kind in NUMBERS:
        return 0, varint(int(value))
    if kind.startswith("enum "):
        return 0, varint(number_of(kind.removeprefix("enum "), value))
    if kind == "string":
        return 2, value.encode()
    if kind == "bytes":
        return 2, base64.b64decode(value)
    return 2, encode(kind, value)


def field_bytes(field, kind, value):
    wire, content = scalar(kind, value)
    return varint(field << 3) + content if wire == 0 else delimited(field, content)


def is_default(kind, value):
    return kind not in MESSAGES and scalar(kind, value)[1] in (b"", b"\0")


def encode(message, value):
    fields = MESSAGES[message]
    unknown = set(value) - {name for _, name, _ in fields}
    assert not unknown, (message, unknown)
    out = b""
    for field, name, kind in fields:
        if name not in value:
            continue
        held = value[name]
        word, _, of = kind.partition(" ")
        if word == "repeated":
            if of in NUMBERS and held:
                out += delimited(field, b"".join(scalar(of, one)[1] for one in held))
            elif of not in NUMBERS:
                out += b"".join(field_bytes(field, of, one) for one in held)
        elif word == "map":
            for key in sorted(held, key=str.encode):
                entry = field_bytes(1, "string", key) if key else b""
                left_out = encode(of, held[key]) == b"" if of in MESSAGES else is_default(of, held[key])
                entry += b"" if left_out else field_bytes(2, of, held[key])
                out += delimited(field, entry)
        elif word == "optional":
            out += field_bytes(field, of, held)
        elif not is_default(kind, held):
            out += field_bytes(field, kind, held)
    return out


# ---- EC-50


def u32(number):
    return struct.pack("<I", number)


def i32(number):
    return struct.pack("<i", number)


def u64(number):
    return struct.pack("<Q", number)


def i64(number):
    return struct.pack("<q", number)


def sized(content):
    return u64(len(content)) + content


def keys_of(held):
    return sorted(held, key=str.encode)


def without(held, *names):
    return {name: value for name, value in held.items() if name not in names}


def map_bytes(label, message, held):
    entries = b"".join(sized(key.encode()) + sized(encode(message, held[key])) for key in keys_of(held))
    return sized(label.encode()) + u64(len(held)) + entries


def rule_bytes(rule):
    bare = copy.deepcopy(rule)
    for endpoint in bare.get("endpoints", []):
        endpoint.pop("graphql_persisted_queries", None)
        for entry in [one["allow"] for one in endpoint.get("rules", []) if "allow" in one] + endpoint.get("deny_rules", []):
            entry.pop("query", None)
            entry.pop("params", None)
    out = sized(encode("NetworkPolicyRule", bare))
    for index, endpoint in enumerate(rule.get("endpoints", [])):
        out += u64(index)
        queries = endpoint.get("graphql_persisted_queries", {})
        out += map_bytes("graphql_persisted_queries", "GraphqlOperation", queries)
        for place, entry in enumerate(endpoint.get("rules", [])):
            out += u64(place)
            if "allow" in entry:
                out += map_bytes("allow_query", "L7QueryMatcher", entry["allow"].get("query", {}))
                out += map_bytes("allow_params", "L7QueryMatcher", entry["allow"].get("params", {}))
        for place, entry in enumerate(endpoint.get("deny_rules", [])):
            out += u64(place)
            out += map_bytes("deny_query", "L7QueryMatcher", entry.get("query", {}))
            out += map_bytes("deny_params", "L7QueryMatcher", entry.get("params", {}))
    return out


def value_bytes(value):
    if value is None:
        return b"\x01" + i32(0)
    if isinstance(value, bool):
        return b"\x04" + bytes([value])
    if isinstance(value, (int, float)):
        return b"\x02" + struct.pack("<d", value)
    if isinstance(value, str):
        return b"\x03" + sized(value.encode())
    if isinstance(value, dict):
        return b"\x05" + sized(struct_bytes(value))
    return b"\x06" + u64(len(value)) + b"".join(sized(value_bytes(one)) for one in value)


def struct_bytes(held):
    return u64(len(held)) + b"".join(sized(key.encode()) + sized(value_bytes(held[key])) for key in keys_of(held))


def middleware_bytes(middleware):
    out = sized(encode("NetworkMiddlewareConfig", without(middleware, "config")))
    return out + (sized(struct_bytes(middleware["config"])) if "config" in middleware else b"")


def policy_hash(policy):
    out = sized(encode("SandboxPolicy", without(policy, "network_policies", "network_middlewares")))
    for label, content in (("network_policies", rule_bytes), ("network_middlewares", middleware_bytes)):
        held = policy.get(label, {})
        out += sized(label.encode()) + u64(len(held))
        out += b"".join(sized(key.encode()) + sized(content(held[key])) for key in keys_of(held))
    return hashlib.sha256(out).hexdigest()


# ---- EC-52


def first_eight(content):
    return struct.unpack("<Q", hashlib.sha256(content).digest()[:8])[0]


def setting_bytes(setting):
    out = i32(number_of("SETTING_SCOPE", setting.get("scope", "SETTING_SCOPE_UNSPECIFIED")))
    value = setting.get("value", {})
    if "string_value" in value:
        out += b"\x00" + value["string_value"].encode()
    elif "bool_value" in value:
        out += b"\x01" + bytes([value["bool_value"]])
    elif "int_value" in value:
        out += b"\x02" + i64(int(value["int_value"]))
    elif "bytes_value" in value:
        out += b"\x03" + base64.b64decode(value["bytes_value"])
    return out


def config_revision(answer):
    out = i32(number_of("POLICY_SOURCE", answer.get("policy_source", "POLICY_SOURCE_UNSPECIFIED")))
    out += answer.get("policy_validation_failure_mode", "").encode()
    out += bytes([answer.get("extension_authentication_enabled", False)])
    if "policy" in answer:
        out += policy_hash(answer["policy"]).encode()
    settings = answer.get("settings", {})
    for key in keys_of(settings):
        out += key.encode() + setting_bytes(settings[key])
    for service in sorted(answer.get("supervisor_middleware_services", []), key=lambda one: one["name"].encode()):
        out += encode("SupervisorMiddlewareService", service)
    return first_eight(out)


# ---- ER-1


def epoch_of(refresh):
    return refresh.get("authorization_epoch") or refresh["metadata"]["id"]


def refresh_bytes(refresh):
    out = b"provider-refresh-state" + refresh["credential_key"].encode()
    out += i32(number_of("PROVIDER_CREDENTIAL_REFRESH_STRATEGY", refresh.get("strategy", STRATEGY + "UNSPECIFIED")))
    out += epoch_of(refresh).encode()
    if "metadata" in refresh:
        metadata = refresh["metadata"]
        out += metadata.get("id", "").encode() + u64(int(metadata.get("resource_version", 0)))
    outputs = refresh.get("additional_output_keys", {})
    return out + b"".join(output.encode() + outputs[output].encode() for output in keys_of(outputs))


def profile_bytes(found):
    """`found` says where the profile is from; answers show it with that."""
    source, scope, kind, managed = {
        "builtin": ("builtin", "", "static", "source-managed"),
        "platform": ("user", "platform", "platform", "user-managed"),
        "workspace": ("user", "workspace", "workspace", "user-managed"),
    }[found["from"]]
    shown = {**found["profile"], "source": source, "scope": scope, "resource_version": found.get("resource_version", 0)}
    content = encode("ProviderProfile", shown)
    revision = "sha256:" + hashlib.sha256(content).hexdigest()
    return "".join(["provider-profile-source-entry", source, revision, kind, managed]).encode() + content


def member_bytes(member):
    provider = member["provider"]
    metadata = provider["metadata"]
    out = metadata["name"].encode() + metadata["id"].encode() + u64(int(metadata.get("resource_version", 0)))

    def order(refresh):
        return refresh["credential_key"].encode(), refresh.get("metadata", {}).get("id", "").encode()

    out += b"".join(refresh_bytes(refresh) for refresh in sorted(member.get("refreshes", []), key=order))
    out += provider["type"].encode()
    out += profile_bytes(member["profile"]) if "profile" in member else b"missing"
    for held in ("credentials", "credential_handles"):
        out += "".join(keys_of(provider.get(held, {}))).encode()
    expiries = provider.get("credential_expires_at_ms", {})
    return out + b"".join(key.encode() + i64(int(expiries[key])) for key in keys_of(expiries))


def ports_of(endpoint):
    return [port for port in endpoint.get("ports") or [endpoint.get("port", 0)] if port]


def bindings_of(policy):
    found = {}
    for rule in policy.get("network_policies", {}).values():
        for endpoint in rule.get("endpoints", []):
            if "credential_binding" in endpoint:
                places = found.setdefault(endpoint["credential_binding"]["provider"], set())
                places.update((endpoint["host"], port, endpoint.get("path", "")) for port in ports_of(endpoint))
    return found


def provider_env_revision(case):
    out = b"openshell-provider-env-revision-v4"
    out += b"".join(member_bytes(member) for member in case["providers"])
    bindings = bindings_of(case.get("policy", {}))
    for provider in keys_of(bindings):
        out += provider.encode()
        for host, port, path in sorted(bindings[provider], key=lambda one: (one[0].encode(), one[1], one[2].encode())):
            out += host.encode() + u32(port) + path.encode()
    return first_eight(out)


# ---- PE-13

MINTED = [STRATEGY + word for word in ENUMS["PROVIDER_CREDENTIAL_REFRESH_STRATEGY"][3:]]


def normal(endpoint):
    host, port, path = endpoint
    path = path.strip()
    return host.strip().rstrip(".").lower(), port, "/**" if path in ("", "**", "/**") else path


def handles(case):
    """Handle by key, of the credentials that have a place to be used."""
    found = {}
    for member in case["providers"]:
        provider, name = member["provider"], member["provider"]["metadata"]["name"]
        if "profile" not in member:
            continue
        endpoints = member["profile"]["profile"].get("endpoints", [])
        places = [(one.get("host", ""), port, one.get("path", "")) for one in endpoints for port in ports_of(one)]
        places = places or bindings_of(case.get("policy", {})).get(name, ())
        for key in provider.get("credential_handles", {}) if places else ():
            live = [one for one in member.get("refreshes", []) if one.get("status") != "deleting"]
            live = [one for one in live if one.get("strategy") in MINTED]
            claim = [one for one in live if key in [one["credential_key"], *one.get("additional_output_keys", {}).values()]]
            found[key] = handle(case, provider, key, epoch_of(claim[0]), places) if claim else ""
    return found


def handle(case, provider, key, epoch, places):
    texts = ["openshell-workload-credential-handle-v1", case["sandbox_id"], provider["metadata"]["id"], key, epoch]
    components = [text.encode() for text in texts]
    for host, port, path in sorted(set(map(normal, places)), key=lambda one: (one[0].encode(), one[1], one[2].encode())):
        components += [host.encode(), u32(port), path.encode()]
    return hashlib.sha256(b"".join(map(sized, components))).hexdigest()


# ---- Inputs

# A value other than the default for every kind of field.
SAMPLES = {
    "string": "changed", "bool": True, "int32": -7, "int64": "-5000000000", "uint32": 70000, "uint64": "5000000000",
    "bytes": "AAEC/w==", "Struct": {"key": "value"},
}


def sample(kind):
    word, _, of = kind.partition(" ")
    if word == "repeated":
        return [sample(of), sample(of)]
    if word == "map":
        return {"b": sample(of), "a": sample(of)}
    if word == "optional":
        return sample(of)
    if word == "enum":
        return f"{of}_{ENUMS[of][-1]}"
    if kind in SAMPLES:
        return SAMPLES[kind]
    # A message that is there and empty.
    return {}


def sweep(message, base, path=()):
    """(name of the field, a copy of `base` with that field changed) for each field of a message and those in it."""
    for _, name, kind in MESSAGES[message]:
        changed = copy.deepcopy(base)
        reach(changed, path)[name] = sample(kind)
        yield ".".join([*[step for step in path if isinstance(step, str)], name]), changed
        word, _, of = kind.partition(" ")
        inner = of if word in ("repeated", "map") else kind
        if inner in MESSAGES:
            deeper = copy.deepcopy(base)
            held, step = {"repeated": ([{}], 0), "map": ({"k": {}}, "k")}.get(word, ({}, None))
            reach(deeper, path)[name] = held
            yield from sweep(inner, deeper, (*path, name) if step is None else (*path, name, step))


def reach(held, path):
    for step in path:
        held = held[step]
    return held


def policy_cases():
    yield "nothing", {}
    for name, policy in sweep("SandboxPolicy", {"version": 1}):
        yield name, policy
    yield "optionals that are false", {"network_policies": {"r": {"endpoints": [
        {"mcp": {"strict_tool_names": False, "allow_all_known_mcp_methods": False}}]}}}
    yield "lists in another order", {"filesystem": {"read_only": ["/b", "/a"]}}
    yield "lists in order", {"filesystem": {"read_only": ["/a", "/b"]}}
    yield "keys beyond ASCII sort by their bytes", {"network_policies": {"\uffee": {}, "\U0001f600": {}, "z": {}, "é": {}}}
    yield "rules with and without allow", {"network_policies": {"r": {"endpoints": [
        {"host": "a", "rules": [{}, {"allow": {"query": {"q": {"any": ["1", "2"]}}}}, {"allow": {}}]},
        {"host": "b", "deny_rules": [{"method": "GET"}, {"params": {"p": {"glob": "*"}}}]}]}}}
    yield "a map entry with an empty value", {"network_policies": {"r": {"endpoints": [
        {"graphql_persisted_queries": {"": {}, "x": {}}}]}}}
    yield "several ports", {"network_policies": {"r": {"endpoints": [{"ports": [443, 8443, 65535, 1]}]}}}
    yield "several rules and middlewares", {
        "network_policies": {"b": {"name": "b"}, "a": {"name": "a"}},
        "network_middlewares": {"n": {"order": 2}, "m": {"order": -1, "config": {}}}}
    yield "every kind of value", {"network_middlewares": {"m": {"config": {
        "null": None, "yes": True, "no": False, "zero": 0, "half": 0.5, "minus": -3, "large": 1e300, "text": "t",
        "empty": "", "map": {"b": {"c": []}, "a": 1}, "list": [1, "x", None, [True], {}]}}}}


def config_cases():
    base = {
        "policy": {"version": 1}, "policy_source": "POLICY_SOURCE_SANDBOX", "settings": {"flag": {}},
        "policy_validation_failure_mode": "fail_closed",
    }
    changed = {
        "nothing set": {},
        "no policy": None,
        "another policy": {"policy": {"version": 2}},
        "another source": {"policy_source": "POLICY_SOURCE_GLOBAL"},
        "no source": {"policy_source": "POLICY_SOURCE_UNSPECIFIED"},
        "another failure mode": {"policy_validation_failure_mode": "retain_last_valid"},
        "extension authentication": {"extension_authentication_enabled": True},
        "no settings": {"settings": {}},
        "settings in order of their keys": {"settings": {"z": {}, "a": {}, "m": {}}},
        "services in order of their names": {"supervisor_middleware_services": [{"name": "b"}, {"name": "a"}]},
        # What takes no part (EC-53): these have the revision of the first case.
        "what takes no part": {
            "version": 9, "global_policy_version": 9, "provider_env_revision": "9", "workspace": "elsewhere"},
    }
    values = [{}, {"string_value": ""}, {"string_value": "auto"}, {"bool_value": False}, {"bool_value": True},
              {"int_value": "0"}, {"int_value": "-9223372036854775808"}, {"bytes_value": ""}, {"bytes_value": "AAH/"}]
    for value in values:
        changed[f"a setting {json.dumps(value)}"] = {"settings": {"flag": {"value": value, "scope": "SETTING_SCOPE_SANDBOX"}}}
    globally = {"value": {"bool_value": True}, "scope": "SETTING_SCOPE_GLOBAL"}
    changed["a setting of another scope"] = {"settings": {"flag": globally}}
    for name, service in sweep("SupervisorMiddlewareService", {"name": "s"}):
        changed[f"a service's {name}"] = {"supervisor_middleware_services": [service]}
    for name, change in changed.items():
        yield name, without(base, "policy") if change is None else {**base, **change}


PROFILE = {"id": "tool", "credentials": [{"name": "token", "env_vars": ["TOOL_KEY"]}],
           "endpoints": [{"host": "tool.example.com", "port": 443}]}


def member(name="p", profile=None, place="workspace", version=5, refreshes=(), **provider):
    """A provider with the profile that it resolves to; `profile` False for none."""
    asked = {"metadata": {"id": f"id-of-{name}", "name": name, "resource_version": "3"}, "type": "tool",
             "credential_handles": {"TOOL_KEY": {}}, **provider}
    found = {"provider": asked, "refreshes": list(refreshes)}
    if profile is not False:
        found["profile"] = {"from": place, "resource_version": version, "profile": profile or PROFILE}
    return found


def refresh(key="TOOL_KEY", number=1, **fields):
    return {"metadata": {"id": f"refresh-{number}", "resource_version": "2"}, "credential_key": key,
            "strategy": STRATEGY + "OAUTH2_REFRESH_TOKEN", "authorization_epoch": f"epoch-{number}", **fields}


def bound(*endpoints):
    """A policy whose endpoints name a provider, a host, and what else they say."""
    made = [{"host": host, "protocol": "rest", "access": "read-only", "credential_binding": {"provider": provider}, **more}
            for provider, host, more in endpoints]
    return {"version": 1, "network_policies": {f"r{number}": {"name": "r", "endpoints": [one]}
                                               for number, one in enumerate(made)}}


def environment_cases():
    bare = {"id": "bare", "credentials": [{"name": "k", "env_vars": ["BARE_KEY"]}]}
    keyed = {"type": "bare", "credential_handles": {"BARE_KEY": {}}}
    yield "no providers", [], {}
    yield "one provider", [member()], {}
    two = [member("p"), member("q", type="other", profile=False, credential_handles={"Q_KEY": {}})]
    yield "two providers", two, {}
    yield "two providers in another order", two[::-1], {}
    for change in ({"id": "another"}, {"resource_version": "18446744073709551615"}):
        metadata = {"id": "id-of-p", "name": "p", "resource_version": "3", **change}
        yield f"a provider's {list(change)[0]}", [member(metadata=metadata)], {}
    yield "a type as it is written", [member(type=" TOOL ")], {}
    yield "an alias", [member(type="gh", profile={**PROFILE, "id": "github"}, place="builtin", version=0)], {}
    yield "no profile", [member(profile=False)], {}
    yield "a built-in profile", [member(place="builtin", version=0)], {}
    yield "a profile of the platform", [member(place="platform")], {}
    yield "another version of the profile", [member(version=6)], {}
    for name, profile in sweep("ProviderProfile", {"id": "tool"}):
        # What answers set is not the profile's own, and an id is where it is found.
        if name not in ("id", "source", "scope", "resource_version"):
            yield f"a profile's {name}", [member(profile=profile)], {}
    annotated = {**PROFILE, "annotations": {"z": "", "a": "b", "é": "c"}}
    yield "annotations, one of them empty", [member(profile=annotated)], {}
    yield "plain and sealed credentials", [member(credentials={"Z": "z", "B": "b"},
                                                  credential_handles={"Y": {}, "A": {}})], {}
    yield "expiries", [member(credential_expires_at_ms={"TOOL_KEY": "1800000000000", "Z": "0", "A": "-1"})], {}
    yield from refresh_cases()
    yield "a binding", [member(profile=bare, **keyed)], bound(("p", "bound.example.com", {"port": 443}))
    places = [("p", "B.example.com", {"ports": [8443, 443, 70]}), ("p", "a.example.com", {"port": 443, "path": "/v1"}),
              ("p", "a.example.com", {"port": 443}), ("p", "a.example.com", {"port": 443}),
              ("q", "q.example.com", {"port": 1, "path": "**"})]
    both = [member("q", profile={**bare, "id": "other"}, type="other", credential_handles={"Q_KEY": {}}),
            member(profile=bare, **keyed, refreshes=[refresh("BARE_KEY")])]
    yield "bindings of two providers", both, bound(*places)


def refresh_cases():
    yield "a refresh", [member(refreshes=[refresh()])], {}
    for word in without(dict.fromkeys(ENUMS["PROVIDER_CREDENTIAL_REFRESH_STRATEGY"][1:]), "OAUTH2_REFRESH_TOKEN"):
        yield f"a refresh by {word}", [member(refreshes=[refresh(strategy=STRATEGY + word)])], {}
    yield "an epoch that is the id", [member(refreshes=[refresh(authorization_epoch="")])], {}
    yield "a refresh without metadata", [member(refreshes=[without(refresh(), "metadata")])], {}
    yield "another version of a refresh", [member(refreshes=[
        refresh(metadata={"id": "refresh-1", "resource_version": "3"})])], {}
    outputs = {"session": "SESSION", "access": "TOOL_KEY"}
    yield "additional outputs", [member(credential_handles={"TOOL_KEY": {}, "SESSION": {}, "OTHER": {}}, refreshes=[
        refresh("OTHER", additional_output_keys=outputs)])], {}
    yield "two refreshes", [member(credential_handles={"TOOL_KEY": {}, "AN_KEY": {}},
                                   refreshes=[refresh(), refresh("AN_KEY", 2)])], {}
    yield "a refresh that goes", [member(refreshes=[refresh(status="deleting")])], {}
    everywhere = {**PROFILE, "endpoints": [
        {"host": "B.Example.COM.. ", "ports": [8443, 0, 443]}, {"host": " b.example.com", "port": 443, "path": "**"},
        {"host": "a.example.com", "port": 443, "path": " /v1/** "}, {"host": "a.example.com", "port": 443, "path": "/**"},
        {"host": "é.example.com", "port": 65535}, {"host": "none.example.com"}]}
    yield "endpoints however they are written", [member(profile=everywhere, refreshes=[refresh()])], {}


def cases_of(made, expected):
    """Each case with what is expected of it; names are unique."""
    found = []
    for name, case in made:
        assert name not in [one["case"] for one in found], name
        found.append({"case": name, **case, **expected(case)})
    return found


def main():
    policies = cases_of(((name, {"policy": policy}) for name, policy in policy_cases()),
                        lambda case: {"policy_hash": policy_hash(case["policy"])})
    configs = cases_of(((name, {"answer": answer}) for name, answer in config_cases()), lambda case: {
        "policy_hash": policy_hash(case["answer"]["policy"]) if "policy" in case["answer"] else "",
        "config_revision": str(config_revision(case["answer"]))})
    made = ((name, {"sandbox_id": "id-of-s", "providers": providers, **({"policy": policy} if policy else {})})
            for name, providers, policy in environment_cases())
    environments = cases_of(made, lambda case: {
        "provider_env_revision": str(provider_env_revision(case)), "workload_credential_handles": handles(case)})
    other = copy.deepcopy(next(case for case in environments if case["case"] == "a refresh"))
    other.update(case="the same in another sandbox", sandbox_id="id-of-t")
    other["workload_credential_handles"] = handles(other)
    environments.append(other)
    parts = {"policies": policies, "configs": configs, "environments": environments}
    # One line a case, so that a change shows.
    lists = [f"{json.dumps(part)}: [\n" + ",\n".join(map(json.dumps, cases)) + "\n]" for part, cases in parts.items()]
    text = "{\n" + ",\n".join(lists) + "\n}\n"
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(text)
    else:
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "hashes.json"), "w") as file:
            file.write(text)


if __name__ == "__main__":
    main()
