//! `wharf-runner serve`: runs images until the process is told to stop.

use std::io::Write as _;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::Error;
use crate::app::App;
use crate::config::{Config, Flags};

/// Serves until told to stop. The first line on the standard output is the base address.
pub(super) fn run(flags: &Flags) -> Result<(), Error> {
    let config = Config::load(flags, std::env::vars())?;
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.log.level))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init()
        .map_err(Error::Log)?;
    // There is one already only where somebody embeds us.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("wharf-runner")
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), Error> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let app = App::start(config, stop.clone()).await?;
    let mut stdout = std::io::stdout();
    // Whoever started it may not read what it prints; that is no reason to stop.
    let _ = writeln!(stdout, "http://{}", app.address());
    let _ = stdout.flush();
    tracing::info!(address = %app.address(), version = env!("CARGO_PKG_VERSION"), "ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping; containers go on");
    stop.cancel();
    app.finish().await;
    Ok(())
}
