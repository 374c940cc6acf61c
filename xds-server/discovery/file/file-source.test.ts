import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, watch as watchFolder, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { type DiscoveryFixture, describeDiscovery, type FixtureEndpoint } from "../../../test/conformance/discovery.ts";
import { discoverySpec } from "../../../test/fixtures/discovery/endpoints.ts";
import { ManualClock } from "../../../test/fixtures/discovery/manual-clock.ts";
import { silentLogger } from "../../log.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { DiscoveryError } from "../errors.ts";
import { MAX_ENDPOINTS } from "../limits.ts";
import type { DiscoveredEndpoint, DiscoverySource } from "../source.ts";
import { parseEndpointFile } from "./endpoint-file.ts";
import { fileSource } from "./file-source.ts";
import { SETTLE_MS } from "./limits.ts";

const folders: string[] = [];
const sources: DiscoverySource[] = [];

afterEach(async () => {
  for (const source of sources.splice(0)) await source.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tokenmesh-endpoints-"));
  folders.push(folder);
  return folder;
}

function sourceOf(path: string, min = 20, clock: Clock = systemClock): DiscoverySource {
  const spec = discoverySpec({ file: { path }, poll: { min, max: 1_000 } });
  return fileSource(spec, { name: "default/file", clock, random: () => 0, log: silentLogger });
}

/** As others should write it too: a whole file that takes the place of the old one. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

async function fixture(): Promise<DiscoveryFixture> {
  const path = join(temporaryFolder(), "endpoints.yaml");
  const services = new Map<string, readonly FixtureEndpoint[]>();
  let running = true;
  const write = () => {
    const entries = [...services].map(([service, endpoints]) => [
      service,
      endpoints.map(({ locality, ...rest }) => ({
        ...rest,
        ...(locality && { locality: `${locality.region}/${locality.zone}` }),
      })),
    ]);
    if (running) replace(path, JSON.stringify({ services: Object.fromEntries(entries) }));
  };
  const clean = () => rmSync(path, { recursive: true, force: true });
  write();
  return {
    source: sourceOf(path),
    put: async (service, endpoints) => {
      services.set(service, endpoints);
      write();
    },
    remove: async (service) => {
      services.delete(service);
      write();
    },
    setHealth: async (service, id, health) => {
      const endpoints = services.get(service) ?? [];
      services.set(
        service,
        endpoints.map((each) => (each.id === id ? { ...each, health } : each)),
      );
      write();
    },
    stop: async () => {
      running = false;
      clean();
    },
    restart: async () => {
      running = true;
      write();
    },
    hostile: async (answer) => {
      clean();
      if (answer === "garbage") replace(path, "services: {web: [");
      else if (answer === "endless") replace(path, `# ${"x".repeat(2 * 1024 * 1024)}`);
      else if (answer === "silent") spawnSync("mkfifo", [path]);
      else if (answer === "error") mkdirSync(path);
      else write();
    },
    close: async () => clean(),
  };
}

describeDiscovery("a file", fixture, { healths: ["healthy", "unhealthy", "draining", "degraded", "unknown"] });

describe("the file source", () => {
  function watch(path: string, min?: number) {
    const source = sourceOf(path, min);
    sources.push(source);
    const answers: (readonly DiscoveredEndpoint[])[] = [];
    const failures: DiscoveryError[] = [];
    source.watch("web", { endpoints: (all) => answers.push(all), failed: (error) => failures.push(error) });
    return { answers, failures };
  }
  const file = (index: number) => `services: {web: [{address: 10.0.0.${index}, port: 80}]}`;

  it("hears of a change at once, without waiting for its next look", async () => {
    const path = join(temporaryFolder(), "endpoints.yaml");
    replace(path, file(1));
    const { answers } = watch(path, 3_600_000);
    await waitFor(() => answers.length > 0, { what: "the first answer" });
    replace(path, file(2));
    await waitFor(() => answers.at(-1)?.[0]?.address === "10.0.0.2", { what: "the change" });
  });

  it("notices a symbolic link further up that is swapped, as Kubernetes does for mounted ConfigMaps", async () => {
    const folder = temporaryFolder();
    for (const version of ["a", "b"]) {
      mkdirSync(join(folder, version));
      writeFileSync(join(folder, version, "endpoints.yaml"), file(version === "a" ? 1 : 2));
    }
    symlinkSync("a", join(folder, "data"));
    const { answers } = watch(join(folder, "data", "endpoints.yaml"));
    await waitFor(() => answers.length > 0, { what: "the first answer" });
    symlinkSync("b", join(folder, "data.new"));
    renameSync(join(folder, "data.new"), join(folder, "data"));
    await waitFor(() => answers.at(-1)?.[0]?.address === "10.0.0.2", { what: "the change" });
  });

  it("does not read a file while it is being written", async () => {
    const path = join(temporaryFolder(), "endpoints.yaml");
    replace(path, file(1));
    const clock = new ManualClock();
    const source = sourceOf(path, 20, clock);
    sources.push(source);
    const answers: (readonly DiscoveredEndpoint[])[] = [];
    const failures: DiscoveryError[] = [];
    source.watch("web", { endpoints: (all) => answers.push(all), failed: (error) => failures.push(error) });
    clock.advance(2 * SETTLE_MS);
    const lines = Array.from({ length: 20 }, (_, i) => `    - {address: 10.0.1.${i}, port: 80}\n`);
    const whole = `services:\n  web:\n${lines.join("")}`;
    for (let written = 10; written < whole.length; written += 40) {
      writeFileSync(path, whole.slice(0, written));
      clock.advance(SETTLE_MS - 1);
    }
    writeFileSync(path, whole);
    clock.advance(3 * SETTLE_MS);
    expect(answers.map((all) => all.length)).toEqual([1, 20]);
    expect(failures).toEqual([]);
  });

  it("does not look at the file any more when it is closed", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "endpoints.yaml");
    replace(path, file(1));
    const clock = new ManualClock();
    const source = sourceOf(path, 20, clock);
    clock.advance(2 * SETTLE_MS);
    expect(clock.waiting).toBe(1);
    await source.close();
    expect(clock.waiting).toBe(0);
    let events = 0;
    const watcher = watchFolder(folder, () => events++);
    replace(path, file(2));
    await waitFor(() => events > 0, { what: "an event of the folder" });
    watcher.close();
    expect(clock.waiting).toBe(0);
  });

  it("says where a file is wrong", async () => {
    const path = join(temporaryFolder(), "endpoints.yaml");
    replace(path, "services:\n  web:\n    - {address: 10.0.0.1, prot: 80}\n");
    const { failures } = watch(path);
    await waitFor(() => failures.length > 0, { what: "the failure" });
    expect(failures[0]?.message).toMatch(
      /^TM_DISCOVERY_MALFORMED .*endpoints\.yaml:3:\d+: TM_CONFIG_UNKNOWN_FIELD .*Did you mean port\?/,
    );
  });
});

describe("the file of endpoints", () => {
  it("says everything that an endpoint has", () => {
    const text = `
services:
  web:
    - id: a
      address: 2001:DB8::1
      port: 8080
      ports: {grpc: 9090}
      weight: 7
      health: degraded
      locality: eu/eu-1/rack
      labels: {accelerator: gpu-a, model.tokenmesh.io/m: "true"}
    - {address: 10.0.0.1, port: 80}
    - {address: 10.0.0.2, port: 80, weight: 0}
  none: []
`;
    const found = parseEndpointFile("f.yaml", text);
    expect([...found.keys()]).toEqual(["web", "none"]);
    expect(found.get("none")).toEqual([]);
    expect(found.get("web")).toEqual([
      { id: "10.0.0.1 80", address: "10.0.0.1", port: 80, weight: 1, health: "healthy", labels: new Map() },
      { id: "10.0.0.2 80", address: "10.0.0.2", port: 80, weight: 1, health: "draining", labels: new Map() },
      {
        id: "a",
        address: "2001:db8::1",
        port: 8080,
        ports: new Map([["grpc", 9090]]),
        weight: 7,
        health: "degraded",
        locality: { region: "eu", zone: "eu-1", subZone: "rack" },
        labels: new Map([
          ["accelerator", "gpu-a"],
          ["model.tokenmesh.io/m", "true"],
        ]),
      },
    ]);
  });

  it.each([
    ["nothing", "", "is not one document"],
    ["an empty document", "---\n", "f.yaml:1:"],
    ["no services", "{}", "field services is missing"],
    ["two documents", "services: {}\n---\nservices: {}\n", "is not one document"],
    ["a name as address", "services: {web: [{address: a.test, port: 80}]}", "is not an IP address"],
    ["no address", "services: {web: [{address: '1.2', port: 80}]}", "none of 1 instances is usable"],
    ["a port that is none", "services: {web: [{address: 10.0.0.1, port: 0}]}", "TM_CONFIG_INVALID_VALUE"],
    ["a service with a bad name", 'services: {"a b": []}', "is not the name of a service"],
    ["many errors", `services: {web: [${"{a: 1}, ".repeat(50)}]}`, "more"],
  ])("is refused with %s", (_name, text, message) => {
    expect(() => parseEndpointFile("f.yaml", text)).toThrow(message);
  });

  it("is refused with too many endpoints or bytes", () => {
    const many = JSON.stringify({ services: { web: Array.from({ length: MAX_ENDPOINTS + 1 }, () => ({})) } });
    expect(() => parseEndpointFile("f.yaml", many)).toThrow("at most 10000 are allowed");
    expect(() => parseEndpointFile("f.yaml", `services: {} # ${"x".repeat(1024 * 1024)}`)).toThrow(
      "TM_DISCOVERY_TOO_LARGE",
    );
  });
});
