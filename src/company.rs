//! Runs the simulated company beside the platform: its systems keep working in simulated time, its
//! ticket system answers over HTTP, and a receiver takes the webhooks that Guanlan sends.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chrono::{DateTime, NaiveDate, Utc};
use demo::{ProjectOptions, Settings, World};
use serde::{Deserialize, Serialize};
use store::SharedClock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warehouse::Calendar;

/// History of eighteen months that ends on an ordinary Tuesday morning, when work begins.
const START: NaiveDate = NaiveDate::from_ymd_opt(2025, 5, 10).expect("a date of the calendar");
const NOW_UTC: &str = "2026-11-10T01:00:00Z";
/// How often the company moves on, in real time.
const STEP: Duration = Duration::from_millis(500);

/// Which ports the company's own systems use, kept so that a second start finds the same addresses.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Ports {
    webhook: u16,
    tickets: u16,
}

/// What the demo is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    pub folder: PathBuf,
    pub seed: u64,
    pub staff: usize,
    pub listen: String,
}

/// The company and the sockets of its systems.
pub struct Company {
    pub project: PathBuf,
    pub now: DateTime<Utc>,
    world: World,
    folder: PathBuf,
    /// The webhook receiver's and the ticket system's sockets, until they are opened.
    doors: Option<(TcpListener, TcpListener)>,
}

/// A line worth showing to someone who watches.
pub type Tell = Arc<dyn Fn(&'static str, String) + Send + Sync>;

impl Company {
    /// Creates the company in an empty folder, or resumes the one that is there.
    pub async fn open(
        wish: &Wish,
        clock: &SharedClock,
        progress: &(dyn Fn(&str, u64, u64) + Send + Sync),
    ) -> Result<Self> {
        let project = wish.folder.join(demo::PROJECT);
        let (world, ports, webhook, tickets) = if wish.folder.join("ports.json").exists() {
            let text = std::fs::read_to_string(wish.folder.join("ports.json"))?;
            let ports: Ports = serde_json::from_str(&text).context("ports.json of the demo folder")?;
            let world = World::resume(&wish.folder).await?;
            (world, ports, bind(ports.webhook).await?, bind(ports.tickets).await?)
        } else {
            let (webhook, tickets) = (bind_near(9400).await?, bind_near(9401).await?);
            let ports =
                Ports { webhook: webhook.local_addr()?.port(), tickets: tickets.local_addr()?.port() };
            let world = World::create(&wish.folder, settings(wish)?, progress).await?;
            (world, ports, webhook, tickets)
        };
        let mut random = [0u8; 64];
        clock.fill(&mut random);
        let options = ProjectOptions {
            listen: wish.listen.clone(),
            webhook: ports.webhook,
            tickets: ports.tickets,
            random,
        };
        demo::project(&wish.folder, &options)?;
        std::fs::write(wish.folder.join("ports.json"), serde_json::to_string(&ports)?)
            .with_context(|| format!("cannot write into {}", wish.folder.display()))?;
        let doors = Some((webhook, tickets));
        Ok(Self { project, now: world.now(), world, folder: wish.folder.clone(), doors })
    }

    /// Lets the company's own systems answer on their ports until `stop`.
    ///
    /// # Errors
    /// The ticket system's data cannot be opened.
    pub fn open_doors(&mut self, stop: &CancellationToken, tell: Tell) -> Result<()> {
        let Some((webhook, tickets)) = self.doors.take() else { return Ok(()) };
        let hook = Router::new().route("/hook", post(receive)).with_state(tell);
        tokio::spawn(serve(tickets, demo::api(&self.folder)?, stop.clone()));
        tokio::spawn(serve(webhook, hook, stop.clone()));
        Ok(())
    }

    /// Works on until `to` in simulated time; returns what happened, a line each.
    ///
    /// # Errors
    /// The company's databases or files cannot be written.
    pub async fn advance(&mut self, to: DateTime<Utc>) -> Result<Vec<String>> {
        Ok(self.world.advance(to).await?)
    }

    /// Keeps the company working until `stop`. Each thing that happens is told.
    ///
    /// # Errors
    /// See [`Company::open_doors`].
    pub fn run(mut self, clock: SharedClock, stop: CancellationToken, tell: Tell) -> Result<()> {
        self.open_doors(&stop, tell.clone())?;
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(STEP);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                match self.advance(clock.now()).await {
                    Ok(lines) => lines.into_iter().for_each(|line| tell("company", line)),
                    Err(error) => {
                        tracing::error!(error = %error, "the simulated company stopped");
                        return;
                    }
                }
            }
        });
        Ok(())
    }
}

fn settings(wish: &Wish) -> Result<Settings> {
    let calendar = Calendar::built_in(chrono_tz::Asia::Shanghai);
    Ok(Settings {
        seed: wish.seed,
        start: START,
        now: NOW_UTC.parse()?,
        staff: wish.staff,
        departments: (wish.staff / 50).clamp(10, 40),
        workday: Arc::new(move |day| calendar.is_workday(day)),
    })
}

async fn bind(port: u16) -> Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await.with_context(|| {
        format!(
            "the demo's own systems need port {port}, which is in use: stop the other demo, or choose another folder"
        )
    })
}

/// The port asked for, or a free one where it is taken.
async fn bind_near(port: u16) -> Result<TcpListener> {
    match bind(port).await {
        Ok(listener) => Ok(listener),
        Err(_) => bind(0).await,
    }
}

async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let ended =
        axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await }).await;
    if let Err(error) = ended {
        tracing::warn!(error = %error, "one of the company's systems stopped answering");
    }
}

/// Takes a webhook as a chat tool would, and shows its headline.
async fn receive(State(tell): State<Tell>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(message) = serde_json::from_slice::<serde_json::Value>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let id = headers.get("webhook-id").and_then(|v| v.to_str().ok()).unwrap_or("no id");
    let kind = message["type"].as_str().unwrap_or("message");
    let data = &message["data"];
    let summary = data["summary"]["en"].as_str().or_else(|| data["title"]["en"].as_str()).unwrap_or_default();
    tell("webhook", format!("{kind} received ({id}): {summary}"));
    StatusCode::OK
}

/// Where a company's ground truth lies, for those who compare alerts with it.
pub fn ground_truth(folder: &Path) -> PathBuf {
    folder.join(demo::COMPANY).join("ground_truth.json")
}
