// Runs the Khronos glTF validator on one file and prints its report as JSON.
//
//     npm ci --prefix tests/tools
//     node tests/tools/validate.mjs FILE.glb
//
// Exits with 0 whatever the report says, with 1 if the file could not be read or validated.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { validateBytes } from "gltf-validator";

const path = process.argv[2];
try {
  const bytes = new Uint8Array(await readFile(path));
  const report = await validateBytes(bytes, { uri: basename(path), maxIssues: 100 });
  console.log(JSON.stringify(report, null, 2));
} catch (error) {
  console.error(`validate.mjs: ${path}: ${error}`);
  process.exitCode = 1;
}
