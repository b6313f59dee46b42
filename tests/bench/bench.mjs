// Runs the programs of this folder side by side against one nginx on loopback, in rounds, each round all programs one
// after the other, and compares them by the median of the rounds' ratios. Prints the tables, and writes them and the
// data of the chart into build/bench. BENCH_ROUNDS: how many (11). BENCH_CPU: the CPU for server and clients (0).
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, copyFileSync, createWriteStream, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, connect } from "node:net";
import { once } from "node:events";
import { resolve } from "node:path";
import process from "node:process";

const folder = "build/bench";
const rounds = Number(process.env.BENCH_ROUNDS ?? 11);
const cpu = process.env.BENCH_CPU ?? "0";
const systemRoots = "/etc/ssl/certs/ca-certificates.crt";
const listSizes = [10, 100, 1000, 10000, 100000, 1000000];

function run(command, words, options = {}) {
  return execFileSync(command, words, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options });
}

function pinned(words, options) {
  return run("taskset", ["-c", cpu, ...words], options);
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// ---- What is served: certificates, lists, nginx. -------------------------------------------------------------------

function makeCertificates() {
  for (const [name, key] of [
    ["ecdsa", ["ec", "ec_paramgen_curve:P-256"]],
    ["rsa", ["rsa", "rsa_keygen_bits:2048"]],
  ]) {
    const keyOptions = ["-newkey", key[0], "-pkeyopt", key[1], "-nodes", "-sha256", "-days", "30"];
    const quiet = { stdio: ["ignore", "ignore", "ignore"] };
    run("openssl", ["req", "-x509", ...keyOptions, "-subj", `/CN=Bench root ${name}`, "-keyout", `${folder}/${name}-ca.key`,
      "-addext", "keyUsage=critical,keyCertSign", "-out", `${folder}/${name}-ca.pem`], quiet);
    run("openssl", ["req", "-x509", ...keyOptions, "-subj", "/CN=localhost", "-CA", `${folder}/${name}-ca.pem`,
      "-CAkey", `${folder}/${name}-ca.key`, "-keyout", `${folder}/${name}.key`, "-out", `${folder}/${name}.pem`,
      "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
      "-addext", "extendedKeyUsage=serverAuth", "-addext", "keyUsage=critical,digitalSignature"], quiet);
  }
  const bundle = existsSync(systemRoots) ? readFileSync(systemRoots, "utf8") : "";
  writeFileSync(`${folder}/bundle.pem`, bundle + readFileSync(`${folder}/ecdsa-ca.pem`, "utf8"));
  return bundle.split("BEGIN CERTIFICATE").length - 1;
}

// A token of some 335 bytes, so that 100,000 of them make 32 MiB.
function token(i) {
  const hex = i.toString(16).padStart(12, "0");
  return JSON.stringify({
    orgTokenId: `org-token-af469a92-5b45-4565-b3c4-${hex}`,
    orgId: "org-6f706e83-0ec1-437a-9a46-7d4281eb2f39",
    name: `server ${i}`,
    status: i % 3 ? "active" : "revoked",
    lastFourCharsOfKey: hex.slice(-4),
    createdBy: "google-oauth2|10768312045720",
    createdAt: "2024-02-03T04:05:06.789Z",
    scopes: ["builds:read-write", "deployments:read-write", "tokens:read"],
  });
}

async function makeList(count) {
  const path = `${folder}/list-${count}.json`;
  const file = createWriteStream(path);
  file.write('{"tokens":[');
  for (let i = 0; i < count; i++) {
    if (!file.write((i ? "," : "") + token(i))) {
      await once(file, "drain");
    }
  }
  file.end("]}");
  await once(file, "finish");
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

function isListening(port) {
  return new Promise((answer) => {
    const socket = connect(port, "127.0.0.1", () => answer(socket.destroy() && true));
    socket.on("error", () => answer(false));
  });
}

async function startNginx(ports) {
  const here = resolve(folder);
  const created = `{"plainTextToken":"hathora_org_st_0123456789abcdef0123456789abcdef","orgToken":${token(7)}}`;
  const server = (port, certificate, more) => `server {
    listen 127.0.0.1:${port} ssl; server_name localhost; ${more}
    ssl_certificate ${here}/${certificate}.pem; ssl_certificate_key ${here}/${certificate}.key;
    location ~ ^/tokens/v1/orgs/([0-9]+)$ { try_files /list-$1.json =404; }
    location = /tokens/v1/orgs/10/create { return 201 '${created}'; }
    location ~ ^/tokens/v1/orgs/10/tokens/[a-z0-9-]+/revoke$ { return 200 'true'; }
  }`;
  writeFileSync(`${folder}/nginx.conf`, `daemon off; master_process off; pid ${here}/nginx.pid; error_log stderr;
events {}
http {
  access_log off; default_type application/json; types {} root ${here};
  client_body_temp_path ${here}/body; proxy_temp_path ${here}/proxy; fastcgi_temp_path ${here}/fastcgi;
  uwsgi_temp_path ${here}/uwsgi; scgi_temp_path ${here}/scgi;
  ssl_protocols TLSv1.2; ssl_session_cache shared:sessions:1m; ssl_session_tickets off;
  keepalive_requests 1000000; keepalive_timeout 600s;
  ${server(ports.ecdsa, "ecdsa", "")}
  ${server(ports.rsa, "rsa", "")}
  ${server(ports.closing, "ecdsa", "keepalive_timeout 0;")}
}
`);
  const nginx = ["build/nginx/usr/sbin/nginx", "/usr/sbin/nginx"].find(existsSync) ?? "nginx";
  const child = spawn("taskset", ["-c", cpu, nginx, "-p", here, "-e", "stderr", "-c", `${here}/nginx.conf`], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  while (child.exitCode === null && !(await isListening(ports.closing))) {
    await new Promise((go) => setTimeout(go, 10));
  }
  if (child.exitCode !== null) {
    throw new Error("nginx did not start");
  }
  return child;
}

// ---- What is measured. ---------------------------------------------------------------------------------------------

const ports = { ecdsa: await freePort(), rsa: await freePort(), closing: await freePort() };
// Handshakes are with an address, so that no other address of the name is tried first.
const url = (name, work) => `https://${work === "full" || work === "resumed" ? "127.0.0.1" : "localhost"}:${ports[name]}`;
const ca = (name) => `${folder}/${name === "rsa" ? "rsa" : "ecdsa"}-ca.pem`;
const sdkEnvironment = (file) => ({
  ...process.env, NODE_EXTRA_CA_CERTS: file, HATHORA_ORG_ID: "10", HATHORA_TOKEN: "bench-dev-token",
  HATHORA_CLOUD_ENDPOINT: url("ecdsa"),
});

function command(program, work, where, count) {
  return program === "sdk"
    ? ["node", "tests/bench/sdk.mjs", ...work, url(where), String(count)]
    : [`${folder}/${program}`, ...work, url(where, work[0]), ca(where), String(count)];
}

// CPU and wall nanoseconds for one piece of the work, and the KiB of the program's address space.
function sample(program, work, where, count) {
  const [used, passed, space] = pinned(command(program, work, where, count), { env: sdkEnvironment(ca(where)) })
    .trim().split(" ").map(Number);
  return { cpu: used / count, wall: passed / count, space };
}

// CPU and wall nanoseconds, and KiB, of a whole program with what it starts.
function sampleWhole(words, environment) {
  const [used, passed, memory] = run(`${folder}/measure`, words, { env: environment }).trim().split(" ").map(Number);
  return { cpu: used * 1000, wall: passed * 1000, memory };
}

// In each round all programs, one after the other, the first of them another each time.
function compare(samplers, times = rounds) {
  const names = Object.keys(samplers);
  const found = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < times; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + round) % names.length];
      found[name].push(samplers[name]());
    }
  }
  return found;
}

function ratio(found, a, b, what) {
  return median(found[a].map((one, i) => one[what] / found[b][i][what]));
}

function all(programs, work, where, counts) {
  return Object.fromEntries(
    programs.map((program) => [program, () => sample(program, work, where, counts[program] ?? counts.all)]));
}

// A straight line through times of 10 and more tokens, and the largest deviation from it. Each point weighs the same,
// whatever its size.
function straightLine(points) {
  let [s, x, y, xx, xy] = [0, 0, 0, 0, 0];
  for (const { n, t } of points) {
    const w = 1 / (t * t);
    [s, x, y, xx, xy] = [s + w, x + w * n, y + w * t, xx + w * n * n, xy + w * n * t];
  }
  const slope = (s * xy - x * y) / (s * xx - x * x);
  const start = (y - slope * x) / s;
  return Math.max(...points.map(({ n, t }) => Math.abs(t / (start + slope * n) - 1)));
}

// System calls of one piece of the work: those of eleven less those of one, by ten.
function systemCalls(program, work, where) {
  const count = (times) => {
    const log = `${folder}/strace.log`;
    run("strace", ["-f", "-qq", "-e", "trace=network,poll,ppoll,read,write,select", "-o", log, ...command(program, work, where, times)]);
    const calls = {};
    for (const line of readFileSync(log, "utf8").split("\n")) {
      const name = /^\d+ +([a-z0-9_]+)\(/.exec(line)?.[1];
      if (name) {
        calls[name] = (calls[name] ?? 0) + 1;
      }
    }
    return calls;
  };
  const [one, more] = [count(1), count(11)];
  const kinds = {
    send: ["sendto", "sendmsg", "write"],
    receive: ["recvfrom", "recvmsg", "read"],
    poll: ["poll", "ppoll", "select"],
  };
  return Object.fromEntries(Object.entries(kinds).map(([kind, names]) => [
    kind, names.reduce((sum, name) => sum + ((more[name] ?? 0) - (one[name] ?? 0)) / 10, 0)]));
}

// User instructions of one piece of the work by callgrind, which the machine's load does not touch: those of many pieces
// less those of few. By function of the header; BearSSL, jsmn and the C library as a whole.
function instructions(program, work, few, many) {
  const count = (times) => {
    const out = `${folder}/callgrind.out`;
    run("valgrind", ["--tool=callgrind", `--callgrind-out-file=${out}`, ...command(program, work, "ecdsa", times)],
      { stdio: ["ignore", "ignore", "ignore"] });
    const found = { all: 0 };
    for (const line of run("callgrind_annotate", ["--threshold=100", out]).split("\n")) {
      const [, number, file, name, object] = /^ *([\d,]+) \([^)]*\) +(\S+?):(\S+)(?: \[(.*)\])?/.exec(line) ?? [];
      if (file) {
        const group = /libbearssl/.test(object) ? "BearSSL" : /jsmn\.h$/.test(file) ? "jsmn"
          : /htoki?_/.test(name) ? name.replace(/\..*/, "") : "others";
        const n = Number(number.replaceAll(",", ""));
        found[group] = (found[group] ?? 0) + n;
        found.all += n;
      }
    }
    return found;
  };
  const [less, more] = [count(few), count(many)];
  return Object.fromEntries(Object.entries(more).map(([name, n]) => [name, (n - (less[name] ?? 0)) / (many - few)]));
}

// ---- What is shown. ------------------------------------------------------------------------------------------------

const report = `${folder}/bench.md`;

function say(line) {
  console.log(line);
  appendFileSync(report, line + "\n");
}

function figure(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toPrecision(value >= 1 ? 3 : 2);
}

function time(nanoseconds) {
  return nanoseconds >= 1e6 ? `${figure(nanoseconds / 1e6)} ms` : `${figure(nanoseconds / 1e3)} us`;
}

function table(rows) {
  say(`| ${rows[0].join(" | ")} |`);
  say(`|${rows[0].map(() => "---|").join("")}`);
  rows.slice(1).forEach((row) => say(`| ${row.join(" | ")} |`));
}

const targets = [["work", "against", "at most", "measured", ""]];

function judge(work, against, most, measured, text = figure(measured)) {
  targets.push([work, against, most === 0 ? "0 bytes" : most === 0.05 ? "5 %" : String(most), text,
    measured <= most ? "met" : "**not met**"]);
}

mkdirSync(folder, { recursive: true });
rmSync(report, { force: true });
const rootCount = makeCertificates();
for (const size of listSizes) {
  await makeList(size);
}
const nginx = await startNginx(ports);
try {
  const peers = ["limit", "library", "libcurl", "sdk"];
  const warm = compare(all(peers, ["list", "10"], "ecdsa", { all: 2000, sdk: 200 }));
  const change = compare(all(peers, ["create-revoke"], "ecdsa", { all: 1000, sdk: 100 }));
  const big = compare(all(peers, ["list", "100000"], "ecdsa", { all: 2, limit: 4, sdk: 1 }), Math.min(rounds, 7));
  const full = {};
  for (const kind of ["ecdsa", "rsa"]) {
    full[kind] = compare(all(["limit", "library", "small", "libcurl"], ["full"], kind, { all: 20 }));
  }
  const smallBig = compare(all(["library", "small"], ["list", "100000"], "ecdsa", { all: 1 }), 3);
  const resumed = compare(all(["limit", "library", "libcurl"], ["resumed"], "closing", { all: 200 }));
  const lengths = compare(
    Object.fromEntries(listSizes.slice(1).flatMap((n) => ["library", "limit"].map((program) => [
      `${program} ${n}`,
      () => sample(program, ["list", String(n)], "ecdsa", Math.max(1, Math.round(200000 / n)))]))),
    Math.min(rounds, 7));

  const tool = (file) => ["build/hathora-tokens", "--org", "10", "--token", "bench-dev-token", "--endpoint", url("ecdsa"),
    "--ca-file", file, "list", "-o", "json"];
  const curlAndJq = (file) => ["sh", "-c", `curl -sS --fail --cacert ${file} -H 'Accept: application/json' ` +
    `-H 'Authorization: Bearer bench-dev-token' ${url("ecdsa")}/tokens/v1/orgs/10 | jq -ce .tokens`];
  const cold = {};
  for (const [name, file] of [["one", ca("ecdsa")], ["system", `${folder}/bundle.pem`]]) {
    cold[name] = compare({
      tool: () => sampleWhole(tool(file), process.env),
      curl: () => sampleWhole(curlAndJq(file), process.env),
      libcurl: () => sampleWhole([`${folder}/libcurl`, "list", "10", url("ecdsa"), file, "0"], process.env),
      sdk: () => sampleWhole(["node", "tests/live/sdk.mjs", "list"], sdkEnvironment(file)),
    });
  }
  const memory = compare({
    many: () => sampleWhole(command("library", ["list", "100000"], "ecdsa", 1), process.env),
    libcurl: () => sampleWhole(command("libcurl", ["list", "100000"], "ecdsa", 1), process.env),
    sdk: () => sampleWhole(command("sdk", ["list", "100000"], "ecdsa", 1), sdkEnvironment(ca("ecdsa"))),
  }, 3);

  const [points, limitPoints] = ["library", "limit"].map((program) => listSizes.slice(1).map((n) => (
    { n, t: median(lengths[`${program} ${n}`].map((one) => one.cpu)) })));
  const deviation = straightLine(points);
  const [ten, many] = ["10", "100000"].map((tokens) => sample("library", ["list", tokens], "ecdsa", 1).space);
  const above = (many - ten) * 1024;

  judge("warm list of 10, CPU", "limit", 1.25, ratio(warm, "library", "limit", "cpu"));
  judge("warm list of 10, CPU", "libcurl + cJSON", 0.6, ratio(warm, "library", "libcurl", "cpu"));
  judge("create + revoke, CPU", "libcurl + cJSON", 0.4, ratio(change, "library", "libcurl", "cpu"));
  judge("warm list of 10, CPU", "official SDK", 0.02, ratio(warm, "library", "sdk", "cpu"));
  judge("list of 100,000, CPU", "libcurl + cJSON", 0.2, ratio(big, "library", "libcurl", "cpu"));
  judge("list of 100,000, CPU", "limit", 2.5, ratio(big, "library", "limit", "cpu"));
  judge("list of 100,000, memory above a list of 10", "itself", 0, above, `${above} bytes`);
  judge("CPU for N tokens, 1e2 to 1e6", "straight line", 0.05, deviation, `${figure(deviation * 100)} %`);
  judge("full handshake, ECDSA, CPU", "limit", 1.1, ratio(full.ecdsa, "library", "limit", "cpu"));
  judge("full handshake, RSA, CPU", "limit", 1.1, ratio(full.rsa, "library", "limit", "cpu"));
  judge("resumed handshake, CPU", "libcurl + OpenSSL", 0.4, ratio(resumed, "library", "libcurl", "cpu"));
  judge("cold run of the tool, one CA, wall", "curl + jq", 0.3, ratio(cold.one, "tool", "curl", "wall"));
  judge(`cold run of the tool, ${rootCount} roots, wall`, "curl + jq", 0.25, ratio(cold.system, "tool", "curl", "wall"));
  judge("peak memory of the tool", "libcurl program", 0.25, ratio(cold.one, "tool", "libcurl", "memory"));
  judge("peak memory of the tool", "official SDK", 0.03, ratio(cold.one, "tool", "sdk", "memory"));

  const cell = (found, name, what = "cpu") => (found[name] ? time(median(found[name].map((one) => one[what]))) : "");
  const row = (title, found, what) => [title, ...peers.map((name) => cell(found, name, what))];
  const mb = (found, name) => (found[name] ? `${figure(median(found[name].map((one) => one.memory)) / 1024)} MiB` : "");
  const times = [
    ["work", "limit", "this library", "libcurl + cJSON", "official SDK", "curl + jq"],
    [...row("warm list of 10, CPU", warm), ""],
    [...row("create + revoke, CPU", change), ""],
    [...row("list of 100,000, CPU", big), ""],
    [...row("full handshake, ECDSA, CPU", full.ecdsa), ""],
    [...row("full handshake, RSA, CPU", full.rsa), ""],
    [...row("resumed handshake, CPU", resumed), ""],
    ...["one", "system"].flatMap((name) => ["cpu", "wall"].map((what) => [
      `cold run, ${name === "one" ? "one CA" : `${rootCount} roots`}, ${what === "cpu" ? "CPU" : "wall"}`, "",
      cell(cold[name], "tool", what), cell(cold[name], "libcurl", what), cell(cold[name], "sdk", what),
      cell(cold[name], "curl", what)]),
    ),
    ["peak memory of a cold run", "", mb(cold.one, "tool"), mb(cold.one, "libcurl"), mb(cold.one, "sdk"), mb(cold.one, "curl")],
    ["peak memory, list of 100,000", "", mb(memory, "many"), mb(memory, "libcurl"), mb(memory, "sdk"), ""],
  ];
  say(`Ratios, medians of ${rounds} rounds:`);
  say("");
  table(targets);
  say(`\nThe list of 100,000 tokens has ${figure(statSync(`${folder}/list-100000.json`).size / 1048576)} MiB.`);
  say("");
  say("Medians (cold runs: of the tool):");
  say("");
  table(times);
  say("");
  for (const [title, found] of [["", points], [", the limit", limitPoints]]) {
    say(`CPU for each token of a list${title}: ` +
      found.map(({ n, t }) => `${figure(t / n)} ns of ${n}`).join(", ") +
      `; ${figure(straightLine(found) * 100)} % from a straight line at most.`);
  }
  say("");
  say("System calls for one piece of work, send + receive + poll:");
  say("");
  const calls = [["work", "limit", "this library", "libcurl + cJSON"]];
  for (const [title, work, where] of [
    ["warm list of 10", ["list", "10"], "ecdsa"],
    ["create + revoke", ["create-revoke"], "ecdsa"],
    ["full handshake and a list", ["full"], "ecdsa"],
    ["resumed handshake and a list", ["resumed"], "closing"],
    ["list of 100,000", ["list", "100000"], "ecdsa"],
  ]) {
    calls.push([title, ...["limit", "library", "libcurl"].map((program) => {
      const { send, receive, poll } = systemCalls(program, work, where);
      return [send, receive, poll].map((n) => String(Number(n.toFixed(1)))).join(" + ");
    })]);
  }
  table(calls);
  say("");
  say("Profiles of BearSSL, CPU:");
  say("");
  table([["work", "default", "HATHORA_TOKENS_SMALL"],
    ...[["full handshake, ECDSA", full.ecdsa], ["full handshake, RSA", full.rsa], ["list of 100,000", smallBig]]
      .map(([title, found]) => [title, cell(found, "library"), cell(found, "small")])]);
  copyFileSync(report, `${folder}/readme.md`);
  say("");
  say("Instructions in the program, without the system's:");
  say("");
  const kinds = [
    ["warm list of 10", ["list", "10"], 10, 110, 1],
    ["one token of a list of 10,000", ["list", "10000"], 1, 2, 10000],
  ];
  const ours = [];
  table([["work", "limit", "this library", "libcurl + cJSON"], ...kinds.map(([title, work, few, many, parts]) => [title,
    ...["limit", "library", "libcurl"].map((program) => {
      const found = instructions(program, work, few, many);
      if (program === "library") {
        ours.push(Object.fromEntries(Object.entries(found).map(([name, n]) => [name, n / parts])));
      }
      return String(Math.round(found.all / parts));
    })])]);
  say("");
  say("Where this library's go:");
  say("");
  const names = Object.keys(ours[1]).filter((name) => name !== "all").sort((a, b) => ours[1][b] - ours[1][a]);
  table([["function", ...kinds.map(([title]) => title)], ...names.slice(0, 12).map((name) => [name,
    ...ours.map((one) => `${Math.round(one[name] ?? 0)} (${Math.round((100 * (one[name] ?? 0)) / one.all)} %)`)])]);

  // The chart: CPU time against libcurl's.
  const bars = [["warm list", warm], ["create + revoke", change], ["list of 100,000", big], ["full, ECDSA", full.ecdsa],
    ["full, RSA", full.rsa], ["resumed", resumed]];
  writeFileSync(`${folder}/bars.tsv`, [["work", ...peers].join("\t"), ...bars.map(([title, found]) =>
    [title, ...peers.map((name) => (found[name] ? ratio(found, name, "libcurl", "cpu") : "?"))].join("\t"))].join("\n") + "\n");
  writeFileSync(`${folder}/samples.json`, JSON.stringify({ warm, change, big, full, resumed, lengths, cold, memory }));
  run("gnuplot", ["tests/bench/bench.gnuplot"]);
} finally {
  nginx.kill("SIGQUIT");
  rmSync(`${folder}/list-1000000.json`, { force: true });
}
