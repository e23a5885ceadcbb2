// Converts openapi/openapi.json into Postman collections, with values by schema (the converter's default) and by example,
// and looks at what a request would send as If-Match: a tag that the converter invents is a change that never happens.
const assert = require("node:assert/strict");
const { readFileSync } = require("node:fs");
const { convertV2 } = require("openapi-to-postmanv2");

const data = readFileSync(process.argv[2], "utf8");
const methods = Object.values(JSON.parse(data).paths).flatMap((path) => Object.keys(path));

const requestsOf = (item) => (item.item ? item.item.flatMap(requestsOf) : [item.request]);

for (const [parametersResolution, expected] of [["Schema", "<string>"], ["Example", '"2"']]) {
  convertV2({ type: "string", data }, { parametersResolution }, (error, conversion) => {
    assert(!error && conversion.result, String(error ?? conversion.reason));
    const requests = conversion.output[0].data.item.flatMap(requestsOf);
    assert.deepEqual(requests.map(({ method }) => method.toLowerCase()).sort(), methods.sort());
    const tags = requests.flatMap(({ header }) => header.filter(({ key }) => key === "If-Match"));
    assert(tags.length > 0);
    for (const { value } of tags) assert.equal(value, expected);
    console.log(`ok openapi-to-postmanv2: ${requests.length} requests, If-Match by ${parametersResolution.toLowerCase()}`);
  });
}
