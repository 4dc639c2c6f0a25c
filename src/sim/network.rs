//! What lies between the gateway and the carriers: no sockets, but all that can happen on the way.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use axum::body::Body;
use rand::{RngExt, rngs::StdRng};
use tokio::{io::DuplexStream, time::sleep};

use super::{
    follower,
    plan::{NetworkPlan, Role, dice},
    world::World,
};
use crate::{
    carrier::web::{Answer, Lost, NotSent, Outcome, WebRequest},
    process::machine::{Boxed, Network},
    simulator::{Door, NoAnswer},
};

/// No answer of a carrier is longer.
const BODY_BYTES_MAX: usize = 64 * 1_024;

/// The wires of a world.
pub(super) struct Wires {
    world: Weak<World>,
    odds: NetworkPlan,
    dice: Mutex<StdRng>,
}

/// What happens to a request on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Through,
    Refused,
    LostBefore,
    LostAfter,
    Late(Duration),
}

impl Wires {
    pub(super) fn new(world: &Weak<World>, seed: u64, odds: NetworkPlan) -> Arc<Wires> {
        Arc::new(Wires { world: world.clone(), odds, dice: Mutex::new(dice(seed, Role::Network)) })
    }

    fn dice(&self) -> MutexGuard<'_, StdRng> {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long it takes to get there when all is well.
    fn delay(&self) -> Duration {
        Duration::from_millis(self.dice().random_range(1..=20))
    }

    fn way(&self, is_spoilt: bool) -> Way {
        let mut drawn = self.dice().random_range(0..1_000);
        let late = Duration::from_millis(self.dice().random_range(100..=30_000));
        let ways = [
            (self.odds.refused, Way::Refused),
            (self.odds.lost_before, Way::LostBefore),
            (self.odds.lost_after, Way::LostAfter),
            (self.odds.late, Way::Late(late)),
        ];
        for (odds, way) in ways.into_iter().filter(|_| is_spoilt) {
            if drawn < odds {
                return way;
            }
            drawn -= odds;
        }
        Way::Through
    }
}

impl Network for Wires {
    fn connect(&self, host: &str) -> Boxed<io::Result<DuplexStream>> {
        let delay = self.delay();
        let found = self.world.upgrade().and_then(|world| {
            let refused = self.way(world.is_spoilt()) == Way::Refused;
            world.carrier(host).filter(|_| !refused).map(|carrier| carrier.simulator.clone())
        });
        Box::pin(async move {
            sleep(delay).await;
            found.map(|simulator| simulator.connect()).ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
        })
    }

    fn exchange(&self, request: WebRequest) -> Boxed<Outcome> {
        let delay = self.delay();
        let refused = || Outcome::NotSent(NotSent::Connect("nobody is there".into()));
        let Some(world) = self.world.upgrade() else { return Box::pin(async move { refused() }) };
        let way = self.way(world.is_spoilt());
        let is_for_follower = request.url.port() == Some(follower::PORT);
        let door = request.url.port().and_then(|port| world.door(port));
        if way != Way::Through {
            world.note(format_args!("network: {} {way:?}", request.operation));
        }
        if is_for_follower && way != Way::Refused {
            return Box::pin(told(world, request, way, delay));
        }
        let Some(door) = door.filter(|_| way != Way::Refused) else { return Box::pin(async move { refused() }) };
        Box::pin(async move {
            match way {
                Way::LostBefore => {
                    sleep(delay).await;
                    Outcome::Lost(Lost::Reset("the wire was cut".into()))
                }
                Way::Late(late) => carried(door, request, late).await,
                Way::LostAfter => {
                    let _lost = carried(door, request, delay).await;
                    Outcome::Lost(Lost::Reset("the wire was cut".into()))
                }
                _ => carried(door, request, delay).await,
            }
        })
    }
}

/// An event on its way to who follows.
async fn told(world: Arc<World>, request: WebRequest, way: Way, delay: Duration) -> Outcome {
    let reset = || Outcome::Lost(Lost::Reset("the wire was cut".into()));
    if way == Way::LostBefore {
        sleep(delay).await;
        return reset();
    }
    let on_the_way = if let Way::Late(late) = way { late } else { delay };
    let arriving = tokio::spawn(async move {
        sleep(on_the_way).await;
        world.follower.hear(&world, &request)
    });
    let outcome = arriving.await.unwrap_or_else(|_| reset());
    if way == Way::LostAfter { reset() } else { outcome }
}

/// Once it is on its way, it arrives, whatever becomes of the one who sent it.
async fn carried(door: Door, request: WebRequest, delay: Duration) -> Outcome {
    let arriving = tokio::spawn(async move {
        sleep(delay).await;
        answered(&door, request).await
    });
    arriving.await.unwrap_or_else(|_| Outcome::Lost(Lost::Reset("the carrier broke off".into())))
}

async fn answered(door: &Door, request: WebRequest) -> Outcome {
    let WebRequest { method, url, headers, body, .. } = request;
    let mut outgoing = axum::http::Request::new(Body::from(body));
    *outgoing.method_mut() = method;
    *outgoing.headers_mut() = headers;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let Ok(uri) = path.parse() else { return Outcome::NotSent(NotSent::Request("no address".into())) };
    *outgoing.uri_mut() = uri;
    match door.request(outgoing, BODY_BYTES_MAX).await {
        Ok((status, headers, body)) => Outcome::Answer(Answer { status, headers, body }),
        Err(NoAnswer::Reset) => Outcome::Lost(Lost::Reset("reset by the carrier".into())),
        Err(NoAnswer::BrokenOff) => Outcome::Lost(Lost::Unreadable("it broke off".into())),
        Err(NoAnswer::TooLong) => Outcome::Lost(Lost::BodyTooLarge { max: BODY_BYTES_MAX }),
    }
}
