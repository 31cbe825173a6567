//! Servers that share everything: PostgreSQL for the metadata, and a bucket for the bytes.

use std::time::Duration;

use super::{manifest, put};
use crate::api::http::Client;
use crate::api::{begin, content, digest, push_blob};
use crate::clients::docker::{build, forget, greets};
use crate::support::docker::docker;
use crate::support::postgres::Postgres;
use crate::support::s3::{ACCESS_KEY_ID, Bucket, SECRET_ACCESS_KEY};
use crate::support::{Registry, folder, wait};

const MIB: usize = 1 << 20;

/// What all servers of a cluster are told.
struct Cluster {
    bucket: Bucket,
    database: String,
    _folder: tempfile::TempDir,
    key: String,
}

impl Cluster {
    fn new() -> Self {
        let folder = folder();
        Self {
            bucket: Bucket::new(),
            database: Postgres::shared().database(),
            key: super::servers::shared_key(folder.path()),
            _folder: folder,
        }
    }

    fn variables<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut variables = vec![
            ("WHARF__DATABASE__URL", self.database.as_str()),
            ("WHARF__AUTH__SECRET_KEY_FILE", self.key.as_str()),
            ("WHARF__S3__BUCKET", self.bucket.name.as_str()),
            ("WHARF__S3__ENDPOINT", self.bucket.endpoint.as_str()),
            ("WHARF__S3__ACCESS_KEY_ID", ACCESS_KEY_ID),
            ("WHARF__S3__SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
            ("WHARF__S3__PART_SIZE", "5MiB"),
        ];
        variables.extend(more);
        variables
    }

    fn server(&self, more: &[(&str, &str)]) -> Registry {
        Registry::wharf_with(&self.variables(more))
    }
}

#[test]
fn docker_pushes_to_one_server_and_pulls_from_another() {
    let cluster = Cluster::new();
    let servers = [cluster.server(&[]), cluster.server(&[])];
    let docker = docker();
    let [pushed, pulled] = servers
        .each_ref()
        .map(|server| server.image("cluster/app:1"));
    build(docker, &pushed);
    docker.command(["push", &pushed]).succeeds();
    forget(docker, &pushed);
    docker.command(["pull", &pulled]).succeeds();
    greets(docker, &pulled);
    forget(docker, &pulled);
}

#[test]
fn an_upload_begins_at_one_server_and_ends_at_another() {
    let cluster = Cluster::new();
    let servers = [cluster.server(&[]), cluster.server(&[])];
    let clients = servers.each_ref().map(|server| Client::new(server.base()));
    let bytes = content(13 * MIB);
    let mut location = begin(&clients[0], "cluster/upload");
    for (number, chunk) in bytes.chunks(3 * MIB).enumerate() {
        let client = &clients[number % 2];
        let answer = client.send("PATCH", &location, &[], chunk);
        assert_eq!(answer.status, 202, "{answer:?}");
        location = answer.header("location").expect("a location").to_owned();
    }
    let digest = digest(&bytes);
    let separator = if location.contains('?') { '&' } else { '?' };
    let path = format!("{location}{separator}digest={digest}");
    let answer = clients[1].send("PUT", &path, &[], b"");
    assert_eq!(answer.status, 201, "{answer:?}");
    for client in &clients {
        let blob = client.get(&format!("/v2/cluster/upload/blobs/{digest}"));
        assert_eq!((blob.status, blob.body == bytes), (200, true));
    }
}

#[test]
fn what_one_server_deletes_another_collects_and_the_bucket_is_empty() {
    let cluster = Cluster::new();
    let quick = [
        ("WHARF__GC__KEEP_DELETED", "0s"),
        ("WHARF__GC__GRACE", "1s"),
        ("WHARF__GC__KEEP_CONDEMNED", "0s"),
        ("WHARF__GC__RUN_EVERY", "100ms"),
        ("WHARF__UPLOADS__SWEEP_EVERY", "200ms"),
    ];
    let servers = [cluster.server(&quick), cluster.server(&quick)];
    let clients = servers.each_ref().map(|server| Client::new(server.base()));
    let kept = push_blob(&clients[0], "cluster/gc", b"{}");
    push_blob(&clients[0], "cluster/gc", &content(300_000));
    let (text, name) = manifest("kept");
    assert_eq!(put(&clients[0], "cluster/gc", "v1", &text).status, 201);
    let bucket = &cluster.bucket;
    wait::until("the needless bytes to go", Duration::from_secs(60), || {
        (bucket.objects("data") == 1).then_some(())
    });
    let blob = clients[1].get(&format!("/v2/cluster/gc/blobs/{kept}"));
    assert_eq!(blob.status, 200, "a manifest names it");
    let path = format!("/v2/cluster/gc/manifests/{name}");
    assert_eq!(clients[1].send("DELETE", &path, &[], b"").status, 202);
    assert_eq!(clients[0].get(&path).status, 404, "it is gone everywhere");
    wait::until("the rest to go", Duration::from_secs(60), || {
        (bucket.objects("data") == 0 && bucket.entries("index") == 0).then_some(())
    });
}

#[test]
fn a_lost_database_is_made_anew_from_the_bucket() {
    let cluster = Cluster::new();
    let mut server = cluster.server(&[]);
    let client = Client::new(server.base());
    let blob = push_blob(&client, "cluster/lost", b"{}");
    let (text, name) = manifest("lost");
    assert_eq!(put(&client, "cluster/lost", "v1", &text).status, 201);
    server.stop();

    let again = Cluster {
        database: Postgres::shared().database(),
        bucket: cluster.bucket,
        key: cluster.key,
        _folder: cluster._folder,
    };
    // A server that sweeps meanwhile leaves what it doesn't know.
    let eager = [
        ("WHARF__UPLOADS__EXPIRE_AFTER", "1s"),
        ("WHARF__UPLOADS__SWEEP_EVERY", "100ms"),
    ];
    let mut server = again.server(&eager);
    let said = "the database doesn't know a blob that lies in the bucket";
    wait::until("a sweep", Duration::from_secs(30), || {
        server.log().contains(said).then_some(())
    });
    let told = server.administer(["rebuild"]).succeeds();
    assert!(
        told.contains("found 1 blobs, of which 1 are new, and 1 manifests"),
        "{told}"
    );
    let client = Client::new(server.base());
    let manifest = client.get("/v2/cluster/lost/manifests/v1");
    assert_eq!(digest(&manifest.body), name);
    let blob = client.get(&format!("/v2/cluster/lost/blobs/{blob}"));
    assert_eq!((blob.status, blob.body.as_slice()), (200, b"{}".as_slice()));
    let told = server.administer(["scrub"]).succeeds();
    assert!(told.contains("read 1 blobs"), "{told}");
    server.stop();
}
