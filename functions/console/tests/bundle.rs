//! The bundle that the build makes of the console's modules.
#![expect(clippy::expect_used, reason = "the build's own code, which must end where it cannot go on")]

#[path = "../build/bundle.rs"]
mod bundle;

use std::collections::BTreeMap;

use bundle::bundle;

fn sources(modules: &[(&str, &str)]) -> BTreeMap<String, String> {
    modules.iter().map(|(name, source)| ((*name).to_owned(), (*source).to_owned())).collect()
}

#[test]
fn modules_come_behind_what_they_import_and_keep_their_names_to_themselves() {
    let text = bundle(
        &sources(&[
            (
                "app.js",
                "import { one } from \"./a.js\";\nimport { two, } from \"./parts/b.js\";\nconst LIMIT = one + two;\n",
            ),
            ("a.js", "// Why.\nimport htm from \"htm\";\nconst LIMIT = 1;\nexport const one = LIMIT;\n"),
            (
                "parts/b.js",
                "import {\n  one,\n} from \"../a.js\";\n/** A sum. @returns {number} */\nexport function sum() {\n  // Inside.\n  \
                 return one + /** @type {any} */ (1);\n}\nexport const two = sum();\n",
            ),
            ("unused.js", "export let never = 1;\n"),
        ]),
        "app.js",
    );
    let expected = "\
import * as $$htm from \"htm\";

// a.js
const $$a_js = (() => {
const htm = $$htm.default;
const LIMIT = 1;
const one = LIMIT;
return { one };
})();

// parts/b.js
const $$parts_b_js = (() => {
const {  one,} = $$a_js;
function sum() {
  return one +  (1);
}
const two = sum();
return { sum, two };
})();

// app.js
const $$app_js = (() => {
const { one } = $$a_js;
const { two, } = $$parts_b_js;
const LIMIT = one + two;
return {  };
})();
";
    assert_eq!(text, expected);
}

#[test]
fn what_the_bundle_would_get_wrong_ends_the_build() {
    for (app, other) in [
        ("import { a } from \"./a.js\";\n", "import { b } from \"./app.js\";\nexport const a = 1;\n"),
        ("import { a } from \"./missing.js\";\n", ""),
        ("import { a } from \"../../outside.js\";\n", ""),
        ("import { a as b } from \"./a.js\";\n", "export const a = 1;\n"),
        ("import * as a from \"./a.js\";\n", "export const a = 1;\n"),
        ("import a from \"./a.js\";\n", "export const a = 1;\n"),
        ("import { a } from \"./a.js\";\n", "export let a = 1;\n"),
        ("import { a } from \"./a.js\";\n", "const a = 1;\nexport { a };\n"),
        ("import { a } from \"./a.js\";\n", "export default 1;\n"),
        ("import { a } from \"./a.js\";\n", "export * from \"./b.js\";\n"),
        ("const a = await import(\"./a.js\");\n", "export const a = 1;\n"),
        ("/** no end\n", ""),
    ] {
        let sources = sources(&[("app.js", app), ("a.js", other)]);
        assert!(std::panic::catch_unwind(|| bundle(&sources, "app.js")).is_err(), "{app} {other}");
    }
}
