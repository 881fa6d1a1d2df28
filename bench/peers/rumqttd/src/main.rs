// rumqttd as a library: its own program, without the banner, TLS and WebSocket: rumqttd-peer CONFIG.toml
use rumqttd::{Broker, Config};

fn main() {
    let file = std::env::args().nth(1).expect("usage: rumqttd-peer CONFIG.toml");
    let read = config::Config::builder().add_source(config::File::with_name(&file)).build();
    let settings: Config = read.and_then(config::Config::try_deserialize).expect("the settings cannot be read");
    Broker::new(settings).start().expect("rumqttd ended");
}
