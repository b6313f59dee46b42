// The official SDK as a program, for comparison with the tool:
//   sdk.mjs list | create NAME [SCOPE]... | revoke ID | canonical
// It reads the tool's environment variables and prints the result as canonical JSON, members sorted and dates in UTC.
// "canonical" does that to the JSON on standard input. A failure is printed as the tool prints it, with exit status 3
// for ApiError and 1 for all else.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const sdkFolder = join(process.cwd(), "build", "sdk", "node_modules", "/");

function canonical(value) {
  if (value instanceof Date) {
    return value.toISOString();
  }
  if (Array.isArray(value)) {
    return value.map(canonical);
  }
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(
      Object.keys(value)
        .filter((key) => value[key] !== undefined)
        .sort()
        .map((key) => [key, canonical(key === "createdAt" ? new Date(value[key]) : value[key])]),
    );
  }
  return value;
}

function print(value) {
  process.stdout.write(JSON.stringify(canonical(value)) + "\n");
}

async function run([command, ...words]) {
  if (command === "canonical") {
    return JSON.parse(readFileSync(0, "utf8"));
  }
  const { HathoraCloud } = createRequire(sdkFolder)("@hathora/cloud-sdk-typescript");
  const { HATHORA_ORG_ID: orgId, HATHORA_TOKEN: token, HATHORA_CLOUD_ENDPOINT: serverURL } = process.env;
  const { tokensV1 } = new HathoraCloud({ hathoraDevToken: token, serverURL });
  switch (command) {
    case "list":
      return await tokensV1.getOrgTokens(orgId);
    case "create": {
      const [name, ...scopes] = words;
      const request = { name };
      if (scopes.length !== 0) {
        request.scopes = scopes[0] === "admin" ? "admin" : scopes;
      }
      return await tokensV1.createOrgToken(orgId, request);
    }
    case "revoke":
      return await tokensV1.revokeOrgToken(orgId, words[0]);
    default:
      throw new Error(`no command ${command}`);
  }
}

try {
  print(await run(process.argv.slice(2)));
} catch (error) {
  print({ error: { type: error.name, statusCode: error.statusCode, message: error.message } });
  process.exitCode = error.name === "ApiError" ? 3 : 1;
}
