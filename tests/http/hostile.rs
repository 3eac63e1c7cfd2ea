//! Strangers, slow clients and crowds.

use std::time::Duration;

use conbusd::doors::http::{self, Limits};
use tokio::io::AsyncWriteExt;

use crate::support::{Plan, in_real_time, pass, request};

fn limits(change: impl FnOnce(&mut Limits)) -> Plan {
    let mut limits = Limits::default();
    change(&mut limits);
    Plan { limits, ..Plan::default() }
}

#[test]
fn without_the_token_only_livez_answers() {
    in_real_time(async {
        let home = Plan { token: Some("correct-horse-battery"), ..Plan::default() }.open().await;
        let right = "Authorization: Bearer correct-horse-battery\r\n";
        for path in ["/api/accessories", "/api/accessories/ceiling", "/api/events", "/readyz", "/nowhere"] {
            let answer = home.get(path).await;
            answer.is_error(401, "no_token");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert_ne!(home.ask("HEAD", path, right, "").await.status, 401);
        }
        let put = home.ask("PUT", "/api/accessories/ceiling", "", r#"{"on":true}"#).await;
        put.is_error(401, "no_token");
        assert_eq!(home.get("/livez").await.status, 200);
        let wrong = "Authorization: Bearer correct-horse-batterz\r\n";
        home.ask("GET", "/api/accessories", wrong, "").await.is_error(401, "wrong_token");
        while home.ask("GET", "/api/accessories", wrong, "").await.status == 401 {}
        let limited = home.ask("GET", "/api/accessories", wrong, "").await;
        limited.is_error(429, "too_many_failures");
        assert_eq!(limited.header("retry-after"), Some("6"));
        assert_eq!(home.ask("GET", "/api/accessories", right, "").await.status, 200, "it did not fail");
    });
}

#[test]
fn every_path_and_every_method_needs_the_token_but_what_tells_nothing_of_the_house() {
    const METHODS: [&str; 7] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"];
    in_real_time(async {
        let home = Plan { token: Some("correct-horse-battery"), ..Plan::default() }.open().await;
        let names = [("{id}", "ceiling"), ("{gateway}", "home"), ("{file}", "page.css")];
        let fill_in =
            |path: &str| names.iter().fold(path.to_owned(), |path, (mark, name)| path.replace(mark, name));
        let paths: Vec<String> = http::paths().map(fill_in).collect();
        assert!(paths.len() >= 12 && !paths.iter().any(|path| path.contains('{')), "{paths:?}");
        // That the process lives, and the page's own files, the same in every house: as the README says.
        let is_open = |path: &str| matches!(path, "/livez" | "/") || path.starts_with("/page/");
        for path in &paths {
            // What looks like an open path to a careless eye is another one.
            for spelled in [path.clone(), format!("{path}/"), format!("/livez/..{path}"), format!("/{path}")]
            {
                for method in METHODS {
                    let status = home.ask(method, &spelled, "", "").await.status;
                    assert_eq!(status != 401, is_open(&spelled), "{method} {spelled}: {status}");
                }
            }
            let right = "Authorization: Bearer correct-horse-battery\r\n";
            let status = home.ask("DELETE", path, right, "").await.status;
            assert_eq!(status, 405, "with the token {path} is there");
        }
    });
}

#[test]
fn names_of_strangers_are_refused() {
    in_real_time(async {
        let home = Plan::default().open().await;
        let mut client = home.connect().await;
        for (host, status) in
            [("evil.example", 403), ("127.0.0.1:8480", 200), ("[::1]", 200), ("localhost:1", 200)]
        {
            client.say(&format!("GET /api/accessories HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            let answer = client.answer(true).await;
            assert_eq!(answer.status, status, "{host}");
            if status == 403 {
                answer.is_error(403, "foreign_host");
            }
        }
        let put =
            home.ask("PUT", "/api/accessories/ceiling", "Origin: http://evil.example\r\n", r#"{"on":true}"#);
        put.await.is_error(403, "foreign_origin");
        home.ask("PUT", "/api/accessories/ceiling", "Origin: http://localhost\r\n", "{}")
            .await
            .is_error(400, "bad_request");
    });
}

#[test]
fn a_header_that_drips_is_cut_off_however_often_it_drips() {
    in_real_time(async {
        let home = limits(|limits| limits.head_within = Duration::from_millis(200)).open().await;
        let mut silent = home.connect().await;
        let mut dripping = home.connect().await;
        let mut second = home.connect().await;
        second.say(&request("GET", "/livez", "", "")).await;
        assert_eq!(second.answer(true).await.status, 200);
        let began = tokio::time::Instant::now();
        for letter in "GET /livez HTTP/1.1\r\nX-Slow: ".bytes().cycle() {
            let dripped = dripping.stream.write_all(&[letter]).await;
            if dripped.is_err() {
                break;
            }
            pass(20).await;
        }
        assert!((150..1500).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        assert!(silent.is_closed().await);
        second.say(&request("GET", "/livez", "", "")).await;
        assert_eq!(second.answer(true).await.status, 200, "between requests there is more time");
        second.say("GET /li").await;
        assert!(second.is_closed().await);
    });
}

#[test]
fn an_idle_connection_is_given_up() {
    in_real_time(async {
        let home = limits(|limits| limits.idle = Duration::from_millis(150)).open().await;
        let mut client = home.connect().await;
        for _ in 0..3 {
            client.say(&request("GET", "/livez", "", "")).await;
            assert_eq!(client.answer(true).await.status, 200);
            pass(80).await;
        }
        assert!(client.is_closed().await);
    });
}

#[test]
fn headers_and_bodies_are_bounded() {
    in_real_time(async {
        let home = limits(|limits| limits.body_within = Duration::from_millis(100)).open().await;
        let fits = format!("X-Long: {}\r\n", "x".repeat(7000));
        assert_eq!(home.ask("GET", "/livez", &fits, "").await.status, 200);
        let mut client = home.connect().await;
        client.say(&request("GET", "/livez", &format!("X-Long: {}\r\n", "x".repeat(9000)), "")).await;
        assert_eq!(client.answer(false).await.status, 431);
        let mut client = home.connect().await;
        client.say(&request("PUT", "/api/accessories/ceiling", "Content-Length: 10\r\n", "")).await;
        client.answer(true).await.is_error(408, "slow_body");
        assert!(client.is_closed().await);
    });
}

#[test]
fn nonsense_is_answered_or_closed_and_the_door_stays_open() {
    in_real_time(async {
        let home = Plan::default().open().await;
        for nonsense in [
            "\r\n\r\n\r\n",
            "<E07L06I80MAE>\r\n\r\n",
            "GET\r\n\r\n",
            "\0\0\0\0",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            let mut client = home.connect().await;
            client.say(nonsense).await;
            client.stream.shutdown().await.unwrap();
            assert!(client.is_closed().await, "{nonsense:?}");
        }
        assert_eq!(home.get("/livez").await.status, 200);
    });
}

#[test]
fn sixty_four_connections_of_one_address_are_served_at_once() {
    in_real_time(async {
        let home = Plan::default().warm().await;
        let mut clients = Vec::new();
        for _ in 0..64 {
            clients.push(home.connect().await);
        }
        for client in &mut clients {
            client.say(&request("GET", "/api/accessories", "", "")).await;
        }
        for client in &mut clients {
            assert_eq!(client.answer(true).await.status, 200);
        }
    });
}

#[test]
fn beyond_the_limit_connections_are_closed_at_once_and_counted() {
    in_real_time(async {
        let home = limits(|limits| limits.connections_per_address = 3).open().await;
        let mut clients = vec![home.connect().await, home.connect().await, home.connect().await];
        let mut fourth = home.connect().await;
        assert!(fourth.is_closed().await);
        let mut first = clients.remove(0);
        first.say(&request("GET", "/api/status", "", "")).await;
        let status = first.answer(true).await.json();
        let door = &status["http"]["door"];
        assert_eq!((&door["connections"], &door["connections_refused_total"]), (&3.into(), &1.into()));
        drop(clients);
        pass(50).await;
        assert_eq!(home.get("/livez").await.status, 200, "there is room again");
    });
}
