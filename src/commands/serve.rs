//! `wharf serve`: runs the registry.

use std::io::Write as _;

use wharf_auth::administration::Created;

use super::environment::variables;
use super::error::Error;
use super::open_files;
use crate::app::App;
use crate::config::{Config, Flags};
use crate::shutdown::Shutdown;
use crate::telemetry;

/// Serves until the process is told to stop. The first line on the standard output is the
/// server's base address; everything else goes to the log, on the standard error.
pub(super) fn run(flags: &Flags) -> Result<(), Error> {
    let config = Config::load(flags, variables())?;
    telemetry::start(&config.log)?;
    open_files::allow_most();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("wharf")
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(serve(&config))
}

async fn serve(config: &Config) -> Result<(), Error> {
    let shutdown = Shutdown::on_signals().map_err(Error::Signals)?;
    let app = App::open(config).await?;
    let listener = app.listen(config).await?;
    let address = listener.local_addr().map_err(Error::Address)?;
    let mut stdout = std::io::stdout();
    // Whoever started the server may not read what it prints; that is no reason to stop.
    let scheme = if config.tls.is_on() { "https" } else { "http" };
    let _ = writeln!(stdout, "{scheme}://{address}");
    if let Some(Created { principal, secret }) = app.first_administrator() {
        let name = principal.to_string();
        let name = name.trim_start_matches("user/");
        let _ = writeln!(
            stdout,
            "There was no administrator. User: {name}, password: {secret}\n\
             It is not told again; wharf user password {name} sets another."
        );
    }
    let _ = stdout.flush();
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "ready");
    if !config.auth.enabled {
        tracing::warn!("no authentication: whoever reaches this address can push and pull");
    }
    app.serve(listener, shutdown).await;
    Ok(())
}
