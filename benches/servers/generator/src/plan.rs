//! What to ask of a server: the steps of a unit of work, and the single ones that belong to none.

use crate::{Result, number};

/// How one server is asked. Each line of its file is one of these, tabs between the fields:
///
/// ```text
/// header  NAME: VALUE                           sent with every request
/// id      TEXT                                  what stands before the id in the answer to `create`, up to a quote
/// step    NAME METHOD PATH CODES MUST BODY      a step of a unit, in their order; MUST is in an answer of success
/// extra   NAME METHOD PATH CODES MUST BODY      one that is of no unit
/// ```
///
/// In paths and bodies `{id}` is the run's, `{k}` how many updates the unit has made, `{thread}` who asks and `{now}` the time
/// in milliseconds.
#[derive(Debug, Default)]
pub struct Plan {
    headers: String,
    before_id: String,
    pub unit: Vec<Step>,
    extra: Vec<Step>,
}

/// One request and what answers it when it succeeds.
#[derive(Clone, Debug)]
pub struct Step {
    pub name: String,
    method: String,
    path: String,
    codes: Vec<u16>,
    must: String,
    body: String,
}

/// What a request is filled in with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fill<'a> {
    pub id: &'a str,
    pub updates: usize,
    pub thread: usize,
}

impl Plan {
    pub fn parse(text: &str) -> Result<Self> {
        let mut plan = Self::default();
        for line in text.lines() {
            match line.split('\t').collect::<Vec<_>>()[..] {
                ["header", header] => plan.headers.extend([header, "\r\n"]),
                ["id", before] => before.clone_into(&mut plan.before_id),
                [kind @ ("step" | "extra"), name, method, path, codes, must, body] => {
                    let steps = if kind == "step" { &mut plan.unit } else { &mut plan.extra };
                    steps.push(Step {
                        name: name.to_owned(),
                        method: method.to_owned(),
                        path: path.to_owned(),
                        codes: codes.split(',').map(number).collect::<Result<_>>()?,
                        must: must.to_owned(),
                        body: body.to_owned(),
                    });
                }
                _ => return Err(format!("not a line of a plan: {line}")),
            }
        }
        Ok(plan)
    }

    /// The steps of this name, one after the other: a server may need two requests for one.
    pub fn named(&self, name: &str) -> Result<Vec<&Step>> {
        let steps: Vec<_> = self.unit.iter().chain(&self.extra).filter(|step| step.name == name).collect();
        if steps.is_empty() { Err(format!("the plan has no step {name}")) } else { Ok(steps) }
    }

    /// The request of a step, as it is sent.
    pub fn request(&self, step: &Step, fill: Fill) -> Vec<u8> {
        let mut request =
            format!("{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}", step.method, fill.into(&step.path), self.headers);
        let body = fill.into(&step.body);
        if step.method != "GET" {
            let length = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
            request.push_str(&length);
        }
        request.push_str("\r\n");
        request.push_str(&body);
        request.into_bytes()
    }

    /// The id in an answer to `create`.
    pub fn id(&self, answer: &[u8]) -> Result<String> {
        let text = String::from_utf8_lossy(answer);
        let id =
            text.split_once(&self.before_id).and_then(|(_, rest)| rest.split_once('"')).map(|(id, _)| id.to_owned());
        id.ok_or_else(|| format!("no id in the answer to create: {text}"))
    }
}

impl Step {
    pub fn succeeded(&self, code: u16, answer: &[u8]) -> bool {
        self.codes.contains(&code) && String::from_utf8_lossy(answer).contains(&self.must)
    }
}

impl Fill<'_> {
    #[expect(clippy::disallowed_methods, reason = "MLflow is told the time of day")]
    fn into(self, text: &str) -> String {
        if !text.contains('{') {
            return text.to_owned();
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
        text.replace("{id}", self.id)
            .replace("{k}", &self.updates.to_string())
            .replace("{thread}", &self.thread.to_string())
            .replace("{now}", &now.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "header\tx-api-key: k\nid\t\"id\":\"\nstep\tcreate\tPOST\t/runs\t200,201\tpending\t{}\n\
                        step\tupdate\tPATCH\t/runs/{id}\t200\t\t{\"k\":{k}}\nextra\tfailed\tGET\t/{thread}\t200\t\t";

    #[test]
    fn a_request_is_filled_in_and_says_how_long_it_is() {
        let plan = Plan::parse(PLAN).unwrap();
        let fill = Fill { id: "a", updates: 12, thread: 3 };
        assert_eq!(
            String::from_utf8(plan.request(&plan.unit[1], fill)).unwrap(),
            "PATCH /runs/a HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: k\r\nContent-Type: application/json\r\n\
             Content-Length: 8\r\n\r\n{\"k\":12}"
        );
        let failed = plan.named("failed").unwrap();
        assert!(plan.request(failed[0], fill).starts_with(b"GET /3 HTTP/1.1\r\n"));
    }

    #[test]
    fn an_answer_succeeds_by_its_code_and_its_text() {
        let plan = Plan::parse(PLAN).unwrap();
        let create = &plan.unit[0];
        assert!(create.succeeded(201, b"{\"status\":\"pending\"}"));
        assert!(!create.succeeded(409, b"{\"status\":\"pending\"}"));
        assert!(!create.succeeded(201, b"{\"status\":\"running\"}"));
        assert_eq!(plan.id(b"{\"id\":\"x-1\",\"status\":1}").unwrap(), "x-1");
        assert!(plan.id(b"{}").is_err());
    }

    #[test]
    fn a_line_that_is_none_of_a_plan_is_refused() {
        assert!(Plan::parse("step\tcreate\tPOST").is_err());
        assert!(Plan::parse("step\tcreate\tPOST\t/\tmany\t\t").is_err());
        assert!(Plan::parse(PLAN).unwrap().named("late").is_err());
    }
}
