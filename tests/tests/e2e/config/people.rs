//! Several users of one cluster, each with a certificate of their own, seen through one node.

use std::fmt::Debug;

use openshell_client::{CallError, Method, methods};
use openshell_proto::v1::{
    AddWorkspaceMemberRequest, CreateSandboxRequest, CreateWorkspaceRequest, SandboxSpec, WorkspaceRole,
};
use openshell_tests::{Api, Cluster, Shared, unique};
use prost::Message;
use tonic::Code;

/// A node of a cluster where not everybody is platform admin.
pub(super) struct People {
    pub(super) cluster: Shared,
    pub(super) node: u64,
}

/// Who calls.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) api: Api,
}

/// Runs a scenario through a follower, and on a single node.
pub(super) async fn everywhere(scenario: impl AsyncFn(People)) {
    for cluster in [Cluster::shared_with_roles().await, Cluster::shared_single_with_roles().await] {
        let node = cluster.followers().await.first().copied().unwrap_or(1);
        scenario(People { cluster, node }).await;
    }
}

impl People {
    /// A platform admin.
    pub(super) fn admin(&self) -> Person {
        Person { name: "harness".to_owned(), api: self.cluster.api(self.node) }
    }

    /// A user of whom nobody has heard yet, in a role that means nothing to the gateway.
    pub(super) fn user(&self, name: &str) -> Person {
        let name = unique(name);
        Person { api: self.cluster.api_as(self.node, &name, &["openshell-user"]), name }
    }

    /// A new workspace.
    pub(super) async fn workspace(&self) -> String {
        let name = unique("team");
        let request = CreateWorkspaceRequest { name: name.clone(), ..CreateWorkspaceRequest::default() };
        self.admin().ok(&methods::CREATE_WORKSPACE, request).await;
        name
    }

    /// A new workspace with an admin and a user.
    pub(super) async fn team(&self) -> (String, Person, Person) {
        let workspace = self.workspace().await;
        let (ann, uma) = (self.user("ann"), self.user("uma"));
        for (person, role) in [(&ann, WorkspaceRole::Admin), (&uma, WorkspaceRole::User)] {
            self.admin().ok(&methods::ADD_WORKSPACE_MEMBER, add(&workspace, &person.name, role)).await;
        }
        (workspace, ann, uma)
    }
}

impl Person {
    /// A call that must succeed.
    pub(super) async fn ok<Q, A>(&self, method: &Method<Q, A>, request: Q) -> A
    where
        Q: Message + Clone + Debug + 'static,
        A: Message + Default + Debug + 'static,
    {
        let asked = format!("{} as {}: {request:?}", method.path(), self.name);
        self.api.call(method, request).await.unwrap_or_else(|error| panic!("{asked}: {error}")).message
    }

    /// A call that must be refused with this code; answers the text.
    pub(super) async fn refused<Q, A>(&self, code: Code, method: &Method<Q, A>, request: Q) -> String
    where
        Q: Message + Clone + Debug + 'static,
        A: Message + Default + Debug + 'static,
    {
        let asked = format!("{} as {}: {request:?}", method.path(), self.name);
        match self.api.call(method, request).await {
            Err(CallError::Refused(status)) if status.code() == code => status.message().to_owned(),
            Err(error) => panic!("{code:?} was due for {asked}: {error}"),
            Ok(answer) => panic!("{code:?} was due for {asked}: {:?}", answer.message),
        }
    }
}

pub(super) fn add(workspace: &str, subject: &str, role: WorkspaceRole) -> AddWorkspaceMemberRequest {
    AddWorkspaceMemberRequest {
        workspace: workspace.to_owned(),
        principal_subject: subject.to_owned(),
        role: role as i32,
    }
}

pub(super) fn sandbox(workspace: &str, name: &str) -> CreateSandboxRequest {
    CreateSandboxRequest {
        spec: Some(SandboxSpec::default()),
        name: name.to_owned(),
        workspace: workspace.to_owned(),
        ..CreateSandboxRequest::default()
    }
}
