//! Clusters that tests of one program share: each test works in a workspace of its own, and none hurts
//! the processes.

use std::ops::Deref;
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use crate::cluster::{Cluster, ClusterOptions};

/// A cluster that lives while any test holds it.
#[derive(Debug)]
pub struct Shared(Arc<Cluster>);

type Place = Mutex<Weak<Cluster>>;

static THREE: Place = Mutex::const_new(Weak::new());
static SINGLE: Place = Mutex::const_new(Weak::new());
static THREE_WITH_ROLES: Place = Mutex::const_new(Weak::new());
static SINGLE_WITH_ROLES: Place = Mutex::const_new(Weak::new());

/// The role of platform admins where users have roles.
const ADMIN_ROLE: &str = "platform-team";

impl Cluster {
    /// The shared cluster, started if nobody holds it, with `providers_v2_enabled` on.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn shared() -> Shared {
        share(&THREE, ClusterOptions::default()).await
    }

    /// As [`Cluster::shared`], a cluster of one node.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn shared_single() -> Shared {
        share(&SINGLE, ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await
    }

    /// As [`Cluster::shared`], where users show certificates and not everybody is platform admin; the
    /// harness itself is.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn shared_with_roles() -> Shared {
        share(&THREE_WITH_ROLES, ClusterOptions { admin_role: Some(ADMIN_ROLE), ..ClusterOptions::default() }).await
    }

    /// As [`Cluster::shared_with_roles`], a cluster of one node.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn shared_single_with_roles() -> Shared {
        let options = ClusterOptions { nodes: 1, admin_role: Some(ADMIN_ROLE), ..ClusterOptions::default() };
        share(&SINGLE_WITH_ROLES, options).await
    }
}

async fn share(place: &Place, options: ClusterOptions) -> Shared {
    let mut shared = place.lock().await;
    if let Some(cluster) = shared.upgrade() {
        return Shared(cluster);
    }
    let cluster = Arc::new(Cluster::start_with(options).await.expect("a cluster starts"));
    cluster.api(1).enable_providers_v2(true).await;
    *shared = Arc::downgrade(&cluster);
    Shared(cluster)
}

impl Deref for Shared {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The last holder drops the cluster itself, which shows them.
        if Arc::strong_count(&self.0) > 1 {
            self.0.show_logs_of_a_failure();
        }
    }
}
