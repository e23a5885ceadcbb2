// Whether the modules in console/vendor are those of the packages that package-lock.json pins, byte for byte. What is in a
// package, npm has compared with the lock's own checksums.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const [root = ".", modules = "node_modules"] = process.argv.slice(2);
const vendor = join(root, "console", "vendor");

/** @type {{ packages: { name: string, version: string, license: string, files: { file: string, from: string }[] }[] }} */
const listed = JSON.parse(readFileSync(join(vendor, "vendor.json"), "utf8"));
for (const { name, version, license, files } of listed.packages) {
  const manifest = join(modules, name, "package.json");
  const { version: installed, license: said } = JSON.parse(readFileSync(manifest, "utf8"));
  assert.deepEqual([version, license], [installed, said], `${name} in vendor.json and in its package`);
  for (const { file, from } of files) {
    const ours = readFileSync(join(vendor, file));
    assert.ok(
      ours.equals(readFileSync(join(dirname(manifest), from))),
      `console/vendor/${file} is not ${name}'s ${from}`,
    );
  }
  console.log(`ok vendored ${name} ${version}, ${license}: ${files.length} files as in the package`);
}
