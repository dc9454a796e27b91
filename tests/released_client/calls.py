# SPDX-License-Identifier: Apache-2.0
"""Makes each call once that is about profiles, providers, sandboxes, policies, settings and workspaces,
and checks what is answered. Prints the names of the calls, one a line.

    python calls.py ADDRESS
"""

import sys

import grpc
from gateway import Gateway, api, endpoint, flag, item, policies, policy, profile, provider

WORKSPACE = "released"


def refused(code, call, /, *arguments, **fields):
    """The call must be refused with this code."""
    try:
        answer = call(*arguments, **fields)
    except grpc.RpcError as error:
        assert error.code() == code, error
        return error.details()
    raise AssertionError(f"{code} was expected, and not {answer}")


def is_equal(found, expected):
    """A comparison that says what it compared."""
    assert found == expected, f"{found!r} is not {expected!r}"


def the_gateway(gateway):
    """Who answers, and who is asking."""
    assert gateway.sandboxes.health().version
    assert gateway.call("GetGatewayInfo").gateway_version
    is_equal(gateway.call("GetCurrentUser").identity_provider, "local_dev")


def workspaces(gateway):
    """A workspace with a member."""
    is_equal(gateway.workspaces.create(WORKSPACE, labels={"made": "here"}).name, WORKSPACE)
    refused(grpc.StatusCode.ALREADY_EXISTS, gateway.workspaces.create, WORKSPACE)
    is_equal(gateway.workspaces.get(WORKSPACE).name, WORKSPACE)
    is_equal([one.name for one in gateway.workspaces.list(label_selector="made=here")], [WORKSPACE])
    member = {"workspace": WORKSPACE, "principal_subject": "mia"}
    gateway.call("AddWorkspaceMember", role=api.WORKSPACE_ROLE_USER, **member)
    members = gateway.call("ListWorkspaceMembers", workspace=WORKSPACE).members
    is_equal([one.principal_subject for one in members], ["mia"])
    assert gateway.call("RemoveWorkspaceMember", **member).removed


def profiles(gateway):
    """A profile is linted, imported, read, listed, and updated on its version."""
    acme = {"profiles": [item(profile("acme", "a.example.com"))], "workspace": WORKSPACE}
    assert gateway.call("LintProviderProfiles", **acme).valid
    assert gateway.call("ImportProviderProfiles", **acme).imported
    again = gateway.call("ImportProviderProfiles", **acme)
    assert not again.imported and again.diagnostics[0].field == "id", again
    stored = gateway.call("GetProviderProfile", id="acme", workspace=WORKSPACE).profile
    is_equal((stored.resource_version, stored.source), (1, "user"))
    listed = gateway.call("ListProviderProfiles", limit=100, workspace=WORKSPACE).profiles
    assert {"acme", "github"} <= {one.id for one in listed}, listed
    stored.display_name = "Acme, changed"
    change = {"profile": item(stored), "expected_resource_version": 1, "id": "acme", "workspace": WORKSPACE}
    updated = gateway.call("UpdateProviderProfiles", **change)
    assert updated.updated, updated
    is_equal(updated.profile.resource_version, 2)
    words = refused(grpc.StatusCode.ABORTED, gateway.call, "UpdateProviderProfiles", **change)
    assert "2" in words, words


def providers(gateway):
    """A provider of the profile, whose credentials are never shown."""
    main = provider("main", "acme", WORKSPACE, credentials={"ACME_TOKEN": "hush"}, config={"a": "b"})
    made = gateway.call("CreateProvider", provider=main, workspace=WORKSPACE).provider
    refused(grpc.StatusCode.ALREADY_EXISTS, gateway.call, "CreateProvider", provider=main, workspace=WORKSPACE)
    found = gateway.call("GetProvider", name="main", workspace=WORKSPACE).provider
    is_equal((found.metadata.id, dict(found.config)), (made.metadata.id, {"a": "b"}))
    is_equal(list(found.credentials), ["ACME_TOKEN"])
    assert "hush" not in str(found)
    change = provider("main", "", WORKSPACE, config={"a": "c"})
    is_equal(gateway.call("UpdateProvider", provider=change, workspace=WORKSPACE).provider.metadata.resource_version, 2)
    listed = gateway.call("ListProviders", limit=100, workspace=WORKSPACE).providers
    is_equal([one.metadata.name for one in listed], ["main"])
    refused(grpc.StatusCode.NOT_FOUND, gateway.call, "GetProvider", name="nothing", workspace=WORKSPACE)
    status = gateway.call("GetProviderRefreshStatus", provider="main", workspace=WORKSPACE)
    is_equal(len(status.credentials), 0)


def sandboxes(gateway):
    """A sandbox, and a provider that comes and goes."""
    spec = api.SandboxSpec(policy=policy("docs.example.com"), providers=["main"])
    made = gateway.sandboxes.create(workspace=WORKSPACE, spec=spec, name="box", labels={"a": "b"})
    is_equal(gateway.sandboxes.get("box", workspace=WORKSPACE).id, made.id)
    is_equal(gateway.sandboxes.list_ids(workspace=WORKSPACE), [made.id])
    listed = gateway.sandboxes.list(workspace=WORKSPACE, label_selector="a=b")
    is_equal([one.name for one in listed], ["box"])
    named = {"sandbox_name": "box", "workspace": WORKSPACE}
    is_equal([one.metadata.name for one in gateway.call("ListSandboxProviders", **named).providers], ["main"])
    assert gateway.call("DetachSandboxProvider", provider_name="main", **named).detached
    version = gateway.call("GetSandbox", name="box", workspace=WORKSPACE).sandbox.metadata.resource_version
    attach = {"provider_name": "main", "expected_resource_version": version, **named}
    assert gateway.call("AttachSandboxProvider", **attach).attached
    refused(grpc.StatusCode.ABORTED, gateway.call, "AttachSandboxProvider", **attach)
    watch = gateway.call("WatchSandbox", id=made.id, follow_status=True)
    is_equal(next(iter(watch)).sandbox.metadata.id, made.id)
    watch.cancel()
    gateway.call("GetSandboxLogs", sandbox_id=made.id, lines=10)
    is_equal(len(gateway.call("GetDraftPolicy", name="box", workspace=WORKSPACE).chunks), 0)
    return made.id


def policies_of(gateway, sandbox):
    """The policy in effect has a rule for the provider; that of the sandbox is set, merged and listed."""
    named = {"name": "box", "workspace": WORKSPACE}

    def effective():
        return gateway.call("GetSandboxConfig", sandbox_id=sandbox)

    is_equal(sorted(effective().policy.network_policies), ["_provider_main", "base"])
    is_equal(gateway.call("UpdateConfig", policy=policy("other.example.com"), **named).version, 2)
    is_equal(gateway.call("UpdateConfig", policy=policy("other.example.com"), **named).version, 2)
    added = policies.NetworkPolicyRule(
        name="added",
        endpoints=[endpoint("added.example.com")],
        binaries=[policies.NetworkBinary(path="/usr/bin/curl")],
    )
    merge = api.PolicyMergeOperation(add_rule=api.AddNetworkRule(rule_name="added", rule=added))
    is_equal(gateway.call("UpdateConfig", merge_operations=[merge], **named).version, 3)
    is_equal(sorted(effective().policy.network_policies), ["_provider_main", "added", "base"])
    first = gateway.call("GetSandboxPolicyStatus", version=1, **named).revision
    is_equal(first.status, api.POLICY_STATUS_SUPERSEDED)
    revisions = gateway.call("ListSandboxPolicies", limit=20, **named).revisions
    is_equal([one.version for one in revisions], [3, 2, 1])


def settings(gateway, sandbox):
    """A setting of the sandbox gives way to that of the gateway."""
    key = "ocsf_json_enabled"
    named = {"name": "box", "setting_key": key, "workspace": WORKSPACE}
    whole = {"setting_key": key, "global": True}
    gateway.call("UpdateConfig", setting_value=flag(True), **named)
    found = gateway.call("GetSandboxConfig", sandbox_id=sandbox).settings[key]
    is_equal((found.value.bool_value, found.scope), (True, policies.SETTING_SCOPE_SANDBOX))
    gateway.call("UpdateConfig", setting_value=flag(False), **whole)
    refused(grpc.StatusCode.FAILED_PRECONDITION, gateway.call, "UpdateConfig", setting_value=flag(True), **named)
    is_equal(gateway.call("GetGatewayConfig").settings[key].bool_value, False)
    assert gateway.call("UpdateConfig", delete_setting=True, **whole).deleted


def the_end(gateway):
    """Everything goes, in an order that is allowed."""
    refused(grpc.StatusCode.FAILED_PRECONDITION, gateway.call, "DeleteProvider", name="main", workspace=WORKSPACE)
    assert gateway.sandboxes.delete("box", workspace=WORKSPACE)
    gateway.sandboxes.wait_deleted("box", workspace=WORKSPACE)
    assert gateway.call("DeleteProvider", name="main", workspace=WORKSPACE).deleted
    assert not gateway.call("DeleteProvider", name="main", workspace=WORKSPACE).deleted
    assert gateway.call("DeleteProviderProfile", id="acme", workspace=WORKSPACE).deleted
    assert gateway.workspaces.delete(WORKSPACE)


def main(address):
    """All of it, at one gateway."""
    gateway = Gateway(address)
    gateway.call("UpdateConfig", setting_key="providers_v2_enabled", setting_value=flag(True), **{"global": True})
    the_gateway(gateway)
    workspaces(gateway)
    profiles(gateway)
    providers(gateway)
    sandbox = sandboxes(gateway)
    policies_of(gateway, sandbox)
    settings(gateway, sandbox)
    the_end(gateway)
    print("\n".join(sorted(set(gateway.noted.names))))


if __name__ == "__main__":
    main(sys.argv[1])
