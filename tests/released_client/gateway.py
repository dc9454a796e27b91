# SPDX-License-Identifier: Apache-2.0
"""The released client as its users have it, with its calls counted.

Where its own classes lack a call, the stubs that it was generated with make it.
"""

import grpc
from openshell import SandboxClient, WorkspaceClient
from openshell._proto import datamodel_pb2 as data
from openshell._proto import openshell_pb2 as api
from openshell._proto import sandbox_pb2 as policies
from openshell._proto.openshell_pb2_grpc import OpenShellStub

TIMEOUT_SECONDS = 30.0


class Noted(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Notes the names of all calls."""

    def __init__(self):
        self.names = []

    def _note(self, proceed, details, request):
        self.names.append(details.method.rsplit("/", 1)[1])
        return proceed(details, request)

    intercept_unary_unary = _note
    intercept_unary_stream = _note


class Gateway:
    """A gateway at an address as grpc takes them: `host:port`, or `ipv4:host:port,host:port`."""

    def __init__(self, address):
        self.noted = Noted()
        self.sandboxes = SandboxClient(address, timeout=TIMEOUT_SECONDS)
        channel = self.sandboxes._channel
        if "," in address:
            # Several addresses have no name of their own, and grpc would send their list in its place, which is
            # no authority in HTTP.
            channel.close()
            channel = grpc.insecure_channel(address, options=[("grpc.default_authority", "localhost")])
        # Both lie behind the client's own interface, and are what its classes call with.
        self.sandboxes._channel = grpc.intercept_channel(channel, self.noted)
        self.sandboxes._stub = OpenShellStub(self.sandboxes._channel)
        self.workspaces = WorkspaceClient.from_sandbox_client(self.sandboxes)

    def call(self, name, /, **fields):
        """A call by its name, with the fields of its request."""
        request = REQUESTS.get(name) or getattr(api, f"{name}Request")
        return getattr(self.sandboxes._stub, name)(request(**fields), timeout=TIMEOUT_SECONDS)


# Of the calls whose requests lie in another package than their service.
REQUESTS = {
    "GetSandboxConfig": policies.GetSandboxConfigRequest,
    "GetGatewayConfig": policies.GetGatewayConfigRequest,
}


def profile(name, host, **fields):
    """A profile of one token, `<NAME>_TOKEN`, for one host."""
    token = api.ProviderProfileCredential(
        name="token",
        env_vars=[f"{name.upper()}_TOKEN"],
        required=True,
        auth_style="bearer",
        header_name="authorization",
    )
    return api.ProviderProfile(
        id=name,
        display_name=f"Profile {name}",
        category=api.PROVIDER_PROFILE_CATEGORY_OTHER,
        credentials=[token],
        endpoints=[endpoint(host)],
        **fields,
    )


def item(one):
    """A profile as it is imported, as if from a file."""
    return api.ProviderProfileImportItem(profile=one, source=f"{one.id}.yaml")


def provider(name, kind, workspace, **fields):
    """A provider; `workspace` is its own and its profile's."""
    metadata = data.ObjectMeta(name=name, workspace=workspace)
    return data.Provider(metadata=metadata, type=kind, profile_workspace=workspace, **fields)


def endpoint(host):
    """An inspected endpoint."""
    return policies.NetworkEndpoint(host=host, port=443, ports=[443], protocol="rest", access="full")


def policy(host):
    """A policy of one rule, `base`, for one host."""
    curl = policies.NetworkBinary(path="/usr/bin/curl")
    rule = policies.NetworkPolicyRule(name="base", endpoints=[endpoint(host)], binaries=[curl])
    return policies.SandboxPolicy(version=1, network_policies={"base": rule})


def flag(value):
    """A setting that is on or off."""
    return policies.SettingValue(bool_value=value)
