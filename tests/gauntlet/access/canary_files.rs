//! Configurations with secrets in them, for row 38.

use super::canaries::Canaries;
use crate::support::{Command, folder};

/// Configurations with secrets that are right, wrong, or can't be read.
pub(crate) fn configurations() -> (usize, usize) {
    let mut canaries = Canaries::default();
    let mut starts = 0;
    let folder = folder();
    let wharf =
        || Command::program(env!("CARGO_BIN_EXE_wharf")).limit(std::time::Duration::from_secs(60));
    let mut check = |command: Command, canaries: &Canaries| {
        let output = command.run();
        canaries.are_not_in("a start", &(output.stdout + &output.stderr));
        starts += 1;
    };
    let data = folder.path().join("data");
    for command in ["check-config", "serve"] {
        for (name, form) in [
            (
                "WHARF__DATABASE__URL",
                "postgres://wharf:CANARY@127.0.0.1:1/none",
            ),
            (
                "WHARF__DATABASE__URL",
                "postgres://wharf:CANARY@127.0.0.1:99999/none",
            ),
            ("WHARF__DATABASE__URL", "postgres://wharf:CANARY@[::1/none"),
            (
                "WHARF__DATABASE__URL",
                "mysql://wharf:CANARY@localhost/none",
            ),
            ("WHARF__DATABASE__URL", "host=127.0.0.1 password=CANARY"),
            ("WHARF__S3__SECRET_ACCESS_KEY", "CANARY"),
            ("WHARF__S3__ENDPOINT", "http://user:CANARY@127.0.0.1:1"),
            ("WHARF__AUTH__SECRET_KEY_FILE", "FILE"),
            ("WHARF__TLS__KEY", "FILE"),
        ] {
            let canary = canaries.of(name);
            let file = folder.path().join("file");
            std::fs::write(
                &file,
                format!("-----BEGIN PRIVATE KEY-----\n{canary}\n-----END PRIVATE KEY-----\n"),
            )
            .expect("a file");
            let value = form
                .replace("CANARY", &canary)
                .replace("FILE", &file.display().to_string());
            // What is right by itself fails by something else.
            let command = wharf()
                .args([command, "--listen", "127.0.0.1:0", "--data"])
                .arg(&data)
                .env("WHARF__S3__BUCKET", "bucket")
                .env("WHARF__S3__RETRY_FOR", "1s")
                .env("WHARF__AUTH__ENABLED", "true")
                .env("WHARF__AUTH__SERVICE", "")
                .env("WHARF__SERVER__LISTEN", "nowhere")
                .env(name, value);
            check(command, &canaries);
        }
    }
    for text in [
        "[s3]\nsecret_access_key = \"CANARY\n",
        "[s3]\nsecret_access_key = [\"CANARY\"]\n",
        "[s3]\nsecret_access_key = CANARY\n",
        "[s3]\nsecret_acess_key = \"CANARY\"\n",
        "[s3]\nsecret_access_key = \"CANARY\"\nsecret_access_key = \"CANARY\"\n",
        "[s3]\nbucket = \"b\" secret_access_key = \"CANARY\"\n",
        "[database]\nurl = \"postgres://a:CANARY@b/c\" x\n",
        "[database]\nurl = { password = \"CANARY\" }\n",
        "[database]\nurl = \"postgres://a:CANARY@b/c\"\n[database]\n",
        "[database]\nurl = \"postgres://a:CANARY@b/c\"\nconnections = \"many\"\n",
    ] {
        let canary = canaries.of("a file");
        let file = folder.path().join("wharf.toml");
        std::fs::write(&file, text.replace("CANARY", &canary)).expect("a file");
        for command in ["check-config", "serve"] {
            let command = wharf()
                .args([command, "--listen", "203.0.113.1:1", "--data"])
                .arg(&data)
                .arg("--config")
                .arg(&file);
            check(command, &canaries);
        }
    }
    (canaries.0.len(), starts)
}
