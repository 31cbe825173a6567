//! A function for the tests, made with the crate `lambda_runtime`: it does what its event says.

use std::time::Duration;

use lambda_runtime::streaming::{Body, Response, channel};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    match std::env::var("STREAM") {
        Ok(_) => run(service_fn(stream)).await,
        Err(_) => run(service_fn(answer)).await,
    }
}

async fn answer(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (wish, context) = event.into_parts();
    match wish["do"].as_str() {
        Some("fail") => Err("it was told to fail".into()),
        Some("exit") => std::process::exit(3),
        Some("sleep") => {
            let milliseconds = wish["milliseconds"].as_u64().unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            Ok(json!("slept"))
        }
        Some("print") => {
            println!("{}", wish["text"].as_str().unwrap_or_default());
            Ok(Value::Null)
        }
        Some("memory") => Ok(json!(vec![1_u8; 1 << 30].len())),
        Some("http") => Ok(
            json!({"statusCode": 201, "headers": {"x-own": "1"}, "cookies": ["a=b"], "body": "made"}),
        ),
        _ => Ok(json!({
            "event": wish,
            "version": std::env::var("VERSION").unwrap_or_default(),
            "function": context.env_config.function_name,
            "arn": context.invoked_function_arn,
        })),
    }
}

async fn stream(_: LambdaEvent<Value>) -> Result<Response<Body>, Error> {
    let (mut sender, body) = channel();
    tokio::spawn(async move {
        for piece in ["one ", "two ", "three"] {
            if sender.send_data(piece.into()).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    Ok(Response::from(body))
}
