/* condense.mjs LIMBO.json SECONDS: the TLS server cases of an x509-limbo suite in the form that unit/test_limbo.c reads.
   SECONDS: the Unix time of the cases that name none. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

const [suite, seconds] = process.argv.slice(2);
const base64 = (pem) => pem.split("\n").filter((line) => line && !line.startsWith("-----")).join("");

/* The suite's issuers are a set. A server sends each behind the one that it certifies (RFC 5246 section 7.4.2). */
function inOrder(server, issuers) {
  const sent = [];
  let rest = issuers.map((pem) => ({ pem, parsed: new X509Certificate(pem) }));
  let last = new X509Certificate(server);
  for (;;) {
    const next = rest.find((issuer) => issuer.parsed.subject === last.issuer);
    if (!next) {
      return [...sent, ...rest].map((issuer) => issuer.pem);
    }
    rest = rest.filter((issuer) => issuer !== next);
    sent.push(next);
    last = next.parsed;
  }
}

for (const c of JSON.parse(readFileSync(suite, "utf8")).testcases) {
  if (c.validation_kind !== "SERVER") {
    continue;
  }
  const time = c.validation_time === null ? seconds : Date.parse(c.validation_time) / 1000;
  const lines = [
    `case ${c.id}`,
    `expect ${c.expected_result === "SUCCESS" ? "accept" : "refuse"}`,
    `time ${time}`,
    `name ${c.expected_peer_name === null ? "" : c.expected_peer_name.value}`,
    ...c.trusted_certs.map((pem) => `trusted ${base64(pem)}`),
    `server ${base64(c.peer_certificate)}`,
    ...inOrder(c.peer_certificate, c.untrusted_intermediates).map((pem) => `issuer ${base64(pem)}`),
  ];
  console.log(lines.join("\n") + "\n");
}
