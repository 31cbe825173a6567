//! Clusters: names under which services and tasks are. `default` is there when it is used.

use serde_json::{Value, json};

use super::{Cluster, Ecs};
use crate::aws::{Error, Input, page};

impl Ecs {
    pub(super) async fn create_cluster(&self, input: &Input) -> Result<Value, Error> {
        let name = input.maybe("clusterName").unwrap_or("default");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.len() > 255 || !name.bytes().all(is_plain) {
            return Err(input.wrong("clusterName has letters, digits, - and _ only"));
        }
        let cluster = self.make_cluster(name, &input.value()["tags"]).await?;
        Ok(json!({"cluster": self.shown_cluster(&cluster)}))
    }

    pub(super) fn describe_clusters(&self, input: &Input) -> Result<Value, Error> {
        let mut names = input.texts("clusters");
        if names.is_empty() {
            names.push("default".into());
        }
        let (mut clusters, mut failures) = (Vec::new(), Vec::new());
        for name in names {
            match self.shelves.clusters.get(Self::short(&name)) {
                Some(cluster) => clusters.push(self.shown_cluster(&cluster)),
                None => failures.push(json!({"arn": self.cluster_arn(&name), "reason": "MISSING"})),
            }
        }
        Ok(json!({"clusters": clusters, "failures": failures}))
    }

    pub(super) fn list_clusters(&self, input: &Input) -> Value {
        let arns = self.shelves.clusters.list();
        let arns: Vec<String> = arns.into_iter().map(|cluster| cluster.arn).collect();
        let (arns, next) = page(arns, input.maybe("nextToken"), input.number("maxResults"));
        json!({"clusterArns": arns, "nextToken": next})
    }

    pub(super) async fn delete_cluster(&self, input: &Input) -> Result<Value, Error> {
        let cluster = self.cluster(Some(input.text("cluster")?))?;
        let is_in_use = |name: &String| *name == cluster.name;
        let services = self.shelves.services.list();
        if services
            .iter()
            .any(|service| is_in_use(&service.cluster) && service.status == "ACTIVE")
        {
            let message = "the cluster has active services";
            return Err(Error::new("ClusterContainsServicesException", message));
        }
        let tasks = self.shelves.tasks.list();
        if tasks
            .iter()
            .any(|task| is_in_use(&task.cluster) && task.is_up())
        {
            let message = "the cluster has running tasks";
            return Err(Error::new("ClusterContainsTasksException", message));
        }
        self.shelves.clusters.remove(&cluster.name).await?;
        let mut shown = self.shown_cluster(&cluster);
        shown["status"] = "INACTIVE".into();
        Ok(json!({"cluster": shown}))
    }

    /// The cluster of a name or an ARN.
    pub(super) fn cluster(&self, name: Option<&str>) -> Result<Cluster, Error> {
        let found = self
            .shelves
            .clusters
            .get(Self::short(name.unwrap_or("default")));
        found.ok_or_else(|| Error::new("ClusterNotFoundException", "Cluster not found."))
    }

    /// The cluster of a name, made where it isn't there.
    pub(crate) async fn make_cluster(&self, name: &str, tags: &Value) -> Result<Cluster, Error> {
        if let Some(cluster) = self.shelves.clusters.get(name) {
            return Ok(cluster);
        }
        let cluster = Cluster {
            name: name.to_owned(),
            arn: self.cluster_arn(name),
            tags: tags.clone(),
        };
        self.shelves.clusters.put(name, cluster.clone()).await?;
        Ok(cluster)
    }

    fn cluster_arn(&self, name: &str) -> String {
        let name = Self::short(name);
        self.ground.names.arn("ecs", &format!("cluster/{name}"))
    }

    fn shown_cluster(&self, cluster: &Cluster) -> Value {
        let services = self.shelves.services.list();
        let services = services
            .iter()
            .filter(|service| service.cluster == cluster.name && service.status == "ACTIVE");
        let tasks = self
            .shelves
            .tasks
            .filtered(|task| task.cluster == cluster.name);
        let pending = |task: &&super::Task| {
            use super::model::Status::{Pending, Provisioning};
            matches!(task.status, Pending | Provisioning)
        };
        json!({
            "clusterArn": cluster.arn, "clusterName": cluster.name, "status": "ACTIVE",
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": tasks.iter().filter(|task| task.is_up()).count(),
            "pendingTasksCount": tasks.iter().filter(pending).count(),
            "activeServicesCount": services.count(),
            "tags": cluster.tags.as_array().cloned().unwrap_or_default(),
            "statistics": [], "settings": [], "capacityProviders": [],
            "defaultCapacityProviderStrategy": [],
        })
    }
}
