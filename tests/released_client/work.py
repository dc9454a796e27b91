# SPDX-License-Identifier: Apache-2.0
"""Works in a workspace of its own until its input ends, each call made once, and keeps book of what it was
told. Prints a line after each round, and at the end what it came to as JSON.

    python work.py ADDRESS WORKSPACE

A write that is acknowledged must be what is read from then on; one that failed may have taken effect or not.
"""

import itertools
import json
import sys
import threading
import time

import grpc
from gateway import Gateway, api, flag, item, policy, profile, provider

KEY = "ocsf_json_enabled"
PATIENCE_SECONDS = 20


class Book:
    """What each thing may be: one value, or two after a write that failed."""

    def __init__(self, **known):
        self.may_be = {thing: {value} for thing, value in known.items()}
        self.failures = []
        self.wrong = []

    def write(self, thing, value, call):
        """Makes a call that is to give a thing this value."""
        try:
            call()
        except grpc.RpcError as error:
            self._failed(f"writing {thing}", error)
            self.may_be[thing].add(value)
        else:
            self.may_be[thing] = {value}

    def read(self, thing, call):
        """Makes a call that answers the thing's value."""
        try:
            value = call()
        except grpc.RpcError as error:
            self._failed(f"reading {thing}", error)
            return
        if value not in self.may_be[thing]:
            self.wrong.append(f"{thing} is {value!r} where it should be {self.may_be[thing]!r}")
        self.may_be[thing] = {value}

    def _failed(self, what, error):
        self.failures.append({"what": what, "code": error.code().name, "details": error.details()})


class Worker:
    """Profile, provider, sandbox, policy and setting, all written in every round."""

    def __init__(self, address, workspace):
        self.gateway = Gateway(address)
        self.workspace = workspace
        self.book = Book(profile="Profile acme", provider="", policy="docs.example.com", setting=False)
        self.named = {"name": "box", "workspace": workspace}
        self.gateway.workspaces.create(workspace)
        imported = [item(profile("acme", "a.example.com"))]
        self.gateway.call("ImportProviderProfiles", profiles=imported, workspace=workspace)
        made = provider("main", "acme", workspace, credentials={"ACME_TOKEN": "hush"})
        self.gateway.call("CreateProvider", provider=made, workspace=workspace)
        spec = api.SandboxSpec(policy=policy("docs.example.com"), providers=["main"])
        self.sandbox = self.gateway.sandboxes.create(workspace=workspace, spec=spec, name="box").id

    def round(self, number):
        """Writes everything once, and reads it."""
        book = self.book
        book.write("profile", f"Write {number}", lambda: self.update_profile(f"Write {number}"))
        book.read("profile", lambda: self.profile().display_name)
        book.write("provider", str(number), lambda: self.update_provider(str(number)))
        book.read("provider", self.provider)
        host = f"write-{number}.example.com"
        book.write("policy", host, lambda: self.gateway.call("UpdateConfig", policy=policy(host), **self.named))
        book.read("policy", self.policy)
        on = number % 2 == 0
        setting = {"setting_key": KEY, "setting_value": flag(on), **self.named}
        book.write("setting", on, lambda: self.gateway.call("UpdateConfig", **setting))
        name = f"box-{number}"
        book.may_be[name] = {"gone"}
        book.write(name, "there", lambda: self.gateway.sandboxes.create(workspace=self.workspace, name=name))
        book.read(name, lambda: self.presence(name))
        if book.may_be[name] == {"there"}:
            book.write(name, "gone", lambda: self.gateway.sandboxes.delete(name, workspace=self.workspace))

    def profile(self):
        return self.gateway.call("GetProviderProfile", id="acme", workspace=self.workspace).profile

    def update_profile(self, name):
        edited = self.profile()
        edited.display_name = name
        change = {"expected_resource_version": edited.resource_version, "id": "acme", "workspace": self.workspace}
        answer = self.gateway.call("UpdateProviderProfiles", profile=item(edited), **change)
        assert answer.updated, answer

    def update_provider(self, number):
        change = provider("main", "", self.workspace, config={"round": number})
        self.gateway.call("UpdateProvider", provider=change, workspace=self.workspace)

    def provider(self):
        return self.gateway.call("GetProvider", name="main", workspace=self.workspace).provider.config["round"]

    def policy(self):
        revision = self.gateway.call("GetSandboxPolicyStatus", version=0, **self.named).revision
        return revision.policy.network_policies["base"].endpoints[0].host

    def presence(self, name):
        listed = self.gateway.sandboxes.list(workspace=self.workspace, limit=1000)
        return "there" if name in {one.name for one in listed} else "gone"

    def setting(self):
        return self.gateway.call("GetSandboxConfig", sandbox_id=self.sandbox).settings[KEY].value.bool_value

    def finish(self):
        """Reads everything once more, when nobody disturbs the cluster any longer."""
        book = self.book
        # A sandbox's configuration is read where the client happens to be, which may be behind for a moment.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.setting() not in book.may_be["setting"] and time.monotonic() < deadline:
            time.sleep(0.1)
        book.read("setting", self.setting)
        book.read("profile", lambda: self.profile().display_name)
        book.read("provider", self.provider)
        book.read("policy", self.policy)
        for name in [thing for thing in book.may_be if thing.startswith("box-")]:
            book.read(name, lambda name=name: self.presence(name))
        known = {thing: values.pop() for thing, values in book.may_be.items() if not thing.startswith("box-")}
        known["boxes"] = sorted(thing for thing, values in book.may_be.items() if values == {"there"})
        return {"calls": len(self.gateway.noted.names), "failures": book.failures, "wrong": book.wrong, "known": known}


def main(address, workspace):
    """Round after round."""
    told_to_stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), told_to_stop.set()), daemon=True).start()
    worker = Worker(address, workspace)
    for number in itertools.count(1):
        worker.round(number)
        print(f"round {number}", flush=True)
        if told_to_stop.is_set():
            break
    print(json.dumps(worker.finish()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
