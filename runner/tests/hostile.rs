//! Images that want more than they are given. Row 37 of the table in `docs/reliability.md`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::docker::docker;
use crate::support::{Bench, image, until};

const LIMIT: Duration = Duration::from_secs(60);

/// Each of them prints `got` when it has what it should not have.
const GREED: &str = r#"#!/bin/sh
n=0
got() { echo "got $1"; }
try() { what=$1; shift; n=$((n + 1)); "$@" >/dev/null 2>&1 && got "$what"; }
lacks() { what=$1; shift; n=$((n + 1)); "$@" >/dev/null 2>&1 || got "$what"; }
lacks "capabilities" grep -q 'CapEff:.*0000000000000000' /proc/self/status
lacks "capabilities to gain" grep -q 'CapBnd:.*0000000000000000' /proc/self/status
lacks "new privileges" grep -q 'NoNewPrivs:.*1' /proc/self/status
lacks "all system calls" grep -q 'Seccomp:.*2' /proc/self/status
try "a mount" mount -t tmpfs none /tmp
try "a bind" mount --bind /proc /tmp
try "another namespace" unshare -m true
try "a user's namespace" unshare -Ur true
try "the host's namespaces" nsenter -t 1 -m true
try "another root" chroot / true
try "a device" mknod /tmp/disk b 8 0
try "the memory" head -c 1 /dev/mem
try "the kernel's memory" head -c 1 /proc/kcore
try "the kernel's log" dmesg
try "a module" insmod /bin/sh
try "the host's name" hostname evil
try "another owner" chown 7 /bin/sh
try "a raw packet" ping -c 1 -W 1 127.0.0.1
# It ends well although it fails.
now=$(date '+%Y-%m-%d %H:%M:%S')
lacks "the clock" sh -c "date -s '$now' 2>&1 | grep 'not permitted'"
for file in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sysrq-trigger \
    /proc/sys/net/ipv4/ip_forward /sys/kernel/uevent_helper /sys/fs/cgroup/release_agent \
    /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max; do
  try "$file" sh -c "echo 1 >$file"
done
for file in /var/run/docker.sock /run/docker.sock /run/containerd/containerd.sock /dev/sda /dev/vda /dev/kvm /dev/fuse; do
  try "$file" test -e $file
done
try "the host's processes" test "$(ls /proc | grep -c '^[0-9]')" -gt 40
gateway=$(ip route | sed -n 's/default via \([^ ]*\).*/\1/p')
for port in PORTS; do try "port $port of the host" sh -c "nc -w 2 $gateway $port </dev/null"; done
try "a secret" sh -c "env | grep -i -E 'secret|password|token'"
echo "tried $n"
"#;

/// A job that behaves so, and whether it would end by itself.
const BOMB: &str = "sleep 8 & (i=0; while [ $i -lt 2000 ]; do sleep 20 & i=$((i + 1)); done); (b() { b | b & }; b); wait";
const HOG: &str = "tail /dev/zero";
const SHOUT: &str = "timeout 6 yes 'the same line again and again, without an end'; echo over";
const LINE: &str = "head -c 200000000 /dev/zero | tr '\\0' x; echo; echo over";

#[test]
fn a_hostile_image_gets_nothing_beyond_its_limits() {
    let bench = Bench::with(&[("WHARF_RUNNER__BATCH__MAX_VCPUS", "4")]);
    let begun = Instant::now();
    let name = bench.image("team/hostile:1");
    let ports = bench.ports();
    let script = GREED.replace("PORTS", &ports.join(" "));
    // What an image asks for of itself.
    let lines = "LABEL wharf-runner.holder=other privileged=true\nVOLUME /etc /data\nUSER 0\n\
                 EXPOSE 22 8080\nHEALTHCHECK --interval=1s CMD touch /checked\nENV LD_PRELOAD=/x.so\n\
                 STOPSIGNAL SIGCONT\nENTRYPOINT []\nCMD [\"/greed\"]";
    image::push(&name, &[("greed", &script)], lines);
    prepare(&bench, &name);
    let resident = bench.runner_resident_bytes();

    let (stop, stopped) = mpsc::channel::<()>();
    let label = bench.label();
    let watcher = thread::spawn(move || {
        let mut seen = Seen::default();
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            seen.look(&label);
        }
        seen
    });
    let ids: Vec<_> = [
        ("greed", "/greed"),
        ("bomb", BOMB),
        ("hog", HOG),
        ("shout", SHOUT),
        ("line", LINE),
    ]
    .map(|(job, command)| submit(&bench, job, command))
    .into();
    let jobs = until("the end of the jobs", LIMIT, || {
        let line = format!("batch describe-jobs --jobs {}", ids.join(" "));
        let jobs = bench.aws(&line)["jobs"].as_array()?.clone();
        let is_over =
            |job: &Value| ["SUCCEEDED", "FAILED"].contains(&job["status"].as_str().unwrap_or(""));
        jobs.iter().all(is_over).then_some(jobs)
    });
    drop(stop);
    let seen = watcher.join().expect("it looks to the end");
    let log_of = |number: usize| {
        let path = bench.path(&format!("runner/logs/job-{}.log", ids[number]));
        std::fs::read_to_string(path).expect("its log is kept")
    };
    let greed = log_of(0);
    let tried = greed
        .split("tried ")
        .nth(1)
        .unwrap_or_else(|| panic!("{greed}"))
        .trim();
    assert!(!greed.contains("got "), "{greed}");
    assert!(seen.processes <= 256 && seen.processes > 100, "{seen:?}");
    let of = |number: usize| {
        jobs.iter()
            .find(|job| job["jobId"] == ids[number].as_str())
            .expect("a job")
    };
    let hog = of(2)["container"]["reason"].as_str().unwrap_or_default();
    assert!(hog.starts_with("OutOfMemoryError"), "{}", of(2));
    let mut kept = 0;
    for number in [3, 4] {
        let log = log_of(number);
        assert!(
            log.len() < 4 << 20 && log.trim_end().ends_with("over"),
            "{}: {}",
            number,
            log.len()
        );
        kept += log.len();
    }
    let grown = bench.runner_resident_bytes().saturating_sub(resident);
    assert!(grown < 100 << 20, "the runner has {grown} bytes more");

    // Each of them had its limits from the engine, whatever its image says.
    assert!(seen.containers >= 4, "{seen:?}");
    until("the volumes to go", LIMIT, || {
        docker()
            .command(["volume", "ls", "-q"])
            .succeeds()
            .is_empty()
            .then_some(())
    });
    let refused = asks(&bench, &name);
    let took = begun.elapsed().as_secs();
    let line = format!(
        "gauntlet 37 : 5 hostile jobs and {refused} asks for more in {took} s: at most {} processes and 32 MiB each, \
         {} KiB of endless output kept, 0 of {tried} things got\n",
        seen.processes,
        kept >> 10,
    );
    let printed = std::io::stdout().write_all(line.as_bytes());
    printed.expect("the line is printed");
}

/// What the engine told of containers while they ran.
#[derive(Debug, Default)]
struct Seen {
    containers: usize,
    processes: usize,
    known: Vec<String>,
}

impl Seen {
    fn look(&mut self, label: &str) {
        let (_, listed, _) = docker()
            .command(["ps", "-q", "--no-trunc", "--filter", label])
            .run();
        for id in listed.lines() {
            self.processes = self.processes.max(processes_of(id));
            if self.known.iter().any(|known| known == id) {
                continue;
            }
            let (is_there, text, _) = docker().command(["inspect", id]).run();
            let Ok(told) = serde_json::from_str::<Value>(&text) else {
                continue;
            };
            if is_there {
                limited(&told[0]);
                self.known.push(id.to_owned());
                self.containers += 1;
            }
        }
    }
}

/// How many processes the host has in a container's groups.
fn processes_of(container: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    let is_in = |process: &std::fs::DirEntry| {
        let groups = std::fs::read_to_string(process.path().join("cgroup"));
        groups.is_ok_and(|groups| groups.contains(container))
    };
    processes.filter(is_in).count()
}

/// Asserts what every container has.
fn limited(container: &Value) {
    let host = &container["HostConfig"];
    let megabytes = 32 << 20;
    for (member, wanted) in [
        ("Privileged", json!(false)),
        ("PidsLimit", json!(256)),
        ("Memory", json!(megabytes)),
        ("MemorySwap", json!(megabytes)),
        ("PublishAllPorts", json!(false)),
        ("PidMode", json!("")),
        ("UTSMode", json!("")),
        ("UsernsMode", json!("")),
    ] {
        assert_eq!(host[member], wanted, "{member}: {host}");
    }
    assert!(
        host["NanoCpus"].as_u64().is_some_and(|cpus| cpus > 0)
            || host["CpuQuota"].as_i64() > Some(0),
        "{host}"
    );
    assert_eq!(host["CapDrop"], json!(["ALL"]), "{host}");
    assert!(
        host["CapAdd"].as_array().is_none_or(Vec::is_empty),
        "{host}"
    );
    assert!(
        host["SecurityOpt"]
            .to_string()
            .contains("no-new-privileges"),
        "{host}"
    );
    assert!(host["Binds"].as_array().is_none_or(Vec::is_empty), "{host}");
    assert!(
        host["Devices"].as_array().is_none_or(Vec::is_empty),
        "{host}"
    );
    assert!(
        host["PortBindings"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty),
        "{host}"
    );
    assert!(
        !["host", "default", "bridge"].contains(&host["NetworkMode"].as_str().unwrap_or("host")),
        "{host}"
    );
    assert_ne!(host["IpcMode"], "host");
    let mounts = container["Mounts"].as_array().cloned().unwrap_or_default();
    assert!(
        mounts.iter().all(|mount| mount["Type"] != "bind"),
        "{mounts:?}"
    );
}

fn prepare(bench: &Bench, name: &str) {
    let resources =
        json!({"type": "FARGATE", "maxvCpus": 4, "subnets": ["any"], "securityGroupIds": ["any"]});
    bench.aws_with(
        "batch create-compute-environment --compute-environment-name main --type MANAGED",
        &[("--compute-resources", resources)],
    );
    bench.aws("batch create-job-queue --job-queue-name main --priority 1 --compute-environment-order order=1,computeEnvironment=main");
    let container = json!({
        "image": name, "command": ["true"],
        "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "32"}],
    });
    bench.aws_with(
        "batch register-job-definition --job-definition-name job --type container",
        &[("--container-properties", container)],
    );
}

fn submit(bench: &Bench, name: &str, script: &str) -> String {
    let overrides = json!({"command": ["sh", "-c", script]});
    let line = format!("batch submit-job --job-queue main --job-definition job --job-name {name}");
    let told = bench.aws_with(&line, &[("--container-overrides", overrides)]);
    told["jobId"].as_str().expect("an id").to_owned()
}

/// What callers may ask for them, all of it refused. Gives how much that is.
fn asks(bench: &Bench, name: &str) -> usize {
    let mut asked = 0;
    let mut refuse = |service: &str, path: &str, body: &Value| {
        let told = ask(bench, service, path, body);
        let is_refused = told.starts_with("HTTP/1.1 4") && told.contains("ClientException");
        assert!(is_refused, "{body}: {told}");
        asked += 1;
    };
    let source = json!([{"name": "a", "host": {"sourcePath": "/"}}]);
    let mount = json!([{"sourceVolume": "a", "containerPath": "/host"}]);
    for (member, value) in [
        ("privileged", json!(true)),
        ("mountPoints", mount.clone()),
        ("volumesFrom", json!([{"sourceContainer": "other"}])),
        (
            "linuxParameters",
            json!({"capabilities": {"add": ["SYS_ADMIN"]}}),
        ),
        (
            "linuxParameters",
            json!({"devices": [{"hostPath": "/dev/sda"}]}),
        ),
        ("dockerSecurityOptions", json!(["apparmor:unconfined"])),
        (
            "systemControls",
            json!([{"namespace": "kernel.core_pattern", "value": "x"}]),
        ),
        ("image", json!("docker.io/library/evil:1")),
        ("image", json!("127.0.0.1:1/team/evil:1")),
        ("image", json!("--privileged")),
        ("image", json!("../../etc:1")),
    ] {
        let mut container = json!({"name": "main", "image": name, "memory": 32});
        container[member] = value;
        refuse(
            "ecs",
            "/",
            &json!({"family": "bad", "containerDefinitions": [container]}),
        );
    }
    let plain = json!([{"name": "main", "image": name, "memory": 32}]);
    for (member, value) in [
        ("networkMode", json!("host")),
        ("pidMode", json!("host")),
        ("ipcMode", json!("host")),
        ("volumes", source.clone()),
    ] {
        let mut task = json!({"family": "bad", "containerDefinitions": plain});
        task[member] = value;
        refuse("ecs", "/", &task);
    }
    for (member, value) in [
        ("privileged", json!(true)),
        ("volumes", source),
        ("mountPoints", mount),
        (
            "linuxParameters",
            json!({"devices": [{"hostPath": "/dev/sda"}]}),
        ),
        ("image", json!("docker.io/library/evil:1")),
    ] {
        let mut container = json!({
            "image": name, "command": ["true"],
            "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "32"}],
        });
        container[member] = value;
        let job = json!({"jobDefinitionName": "bad", "type": "container", "containerProperties": container});
        refuse("batch", "/v1/registerjobdefinition", &job);
    }
    asked
}

/// A call of the runner, which asks for no key here; gives the whole answer.
fn ask(bench: &Bench, service: &str, path: &str, body: &Value) -> String {
    let address = bench.base().trim_start_matches("http://");
    let body = body.to_string();
    let target = match service {
        "ecs" => "X-Amz-Target: AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition\r\n",
        _ => "",
    };
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-amz-json-1.1\r\n{target}\
         Authorization: AWS4-HMAC-SHA256 Credential=a/20261126/us-east-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=0\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).expect("the runner listens");
    stream.write_all(head.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}
