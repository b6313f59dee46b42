// The official SDK: sdk.mjs WORK [N] URL COUNT, as in bench.h: "list N" and "create-revoke". The root comes by
// NODE_EXTRA_CA_CERTS.
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

const { HathoraCloud } = createRequire(join(process.cwd(), "build", "sdk", "node_modules", "/"))(
  "@hathora/cloud-sdk-typescript",
);
const words = process.argv.slice(2);
const count = Number(words.pop());
const serverURL = words.pop();
const [work, tokens = "10"] = words;
const { tokensV1 } = new HathoraCloud({ hathoraDevToken: "bench-dev-token", serverURL });

async function list(number) {
  if ((await tokensV1.getOrgTokens(number)).tokens.length !== Number(number)) {
    throw new Error("a wrong number of tokens");
  }
}

async function once() {
  if (work === "list") {
    return await list(tokens);
  }
  const { orgToken } = await tokensV1.createOrgToken("10", { name: "bench", scopes: ["builds:read-write"] });
  if (!(await tokensV1.revokeOrgToken("10", orgToken.orgTokenId))) {
    throw new Error("not revoked");
  }
}

await list("10");
// As a program that runs for long: the compiler has seen the calls.
for (let i = 0; i < (tokens === "10" ? 100 : 0); i++) {
  await once();
}
const cpu = process.cpuUsage();
const wall = process.hrtime.bigint();
for (let i = 0; i < count; i++) {
  await once();
}
const { user, system } = process.cpuUsage(cpu);
console.log(`${(user + system) * 1000} ${process.hrtime.bigint() - wall}`);
