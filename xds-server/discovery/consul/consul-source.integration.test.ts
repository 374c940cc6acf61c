/** The behaviour suite on a real Consul, and what only a real one can show. `npm run test:integration` builds it first. */
import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { describeDiscovery } from "../../../test/conformance/discovery.ts";
import { call, consulFixture, consulOptions, consulSpec } from "../../../test/fixtures/discovery/consul-fixture.ts";
import { RealConsul, type RealConsulOptions } from "../../../test/fixtures/discovery/real-consul.ts";
import { RecordingObserver } from "../../../test/fixtures/discovery/recording-observer.ts";
import type { ConsulDiscovery } from "../../config/discovery-model.ts";
import { silentLogger } from "../../log.ts";
import { systemClock } from "../clock.ts";
import { ConsulSource } from "./consul-source.ts";

describeDiscovery(
  "Consul (real, in memory: a restart forgets everything)",
  async () => {
    const consul = await RealConsul.start();
    return { ...consulFixture(consul), close: () => consul.close() };
  },
  { ...consulOptions, timeoutMs: 30_000 },
);

describe("a real Consul", () => {
  const open: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
    delete process.env.TM_TEST_CONSUL_TOKEN;
  });

  async function start(options: RealConsulOptions, more: Partial<ConsulDiscovery> = {}) {
    const consul = await RealConsul.start(options);
    open.push(() => consul.close());
    const spec = consulSpec(consul.address, more);
    const context = { name: "default/consul", clock: systemClock, random: () => 0, log: silentLogger };
    const source = new ConsulSource(spec, spec.consul as ConsulDiscovery, context, { graceMs: 0 });
    open.push(() => source.close());
    const web = new RecordingObserver();
    source.watch("web", web);
    return { consul, web };
  }

  const until = (what: string, condition: () => boolean) => waitFor(condition, { what, timeoutMs: 60_000 });
  const instance = (id: string, more: Record<string, unknown> = {}) => ({
    ID: id,
    Name: "web",
    Address: `10.0.0.${id}`,
    Port: 80,
    Check: { CheckID: `c${id}`, TTL: "1h", Status: "passing" },
    ...more,
  });

  it("that keeps its state over a restart: no endpoint is missing for a moment", async () => {
    const { consul, web } = await start({ durable: true });
    for (const id of ["1", "2"]) await call(consul, "service/register", instance(id));
    await until("both endpoints", () => web.addresses?.length === 2);
    const before = web.answers.length;
    await consul.stop();
    await until("a failure", () => web.failures.length > 0);
    await consul.restart();
    await call(consul, "service/register", instance("3"));
    await until("the third endpoint", () => web.addresses?.length === 3);
    for (const answer of web.answers.slice(before)) expect(answer.length).toBeGreaterThanOrEqual(2);
  });

  it("says weights for warnings, localities, tags and metadata", async () => {
    const { consul, web } = await start({});
    await call(
      consul,
      "service/register",
      instance("1", {
        Weights: { Passing: 10, Warning: 3 },
        Locality: { Region: "eu", Zone: "eu-1" },
        Tags: ["model.tokenmesh.io/llama=8b", "gpu"],
        Meta: { version: "v1" },
      }),
    );
    await until("the endpoint", () => web.addresses?.length === 1);
    expect(web.answers.at(-1)?.[0]).toMatchObject({
      weight: 10,
      health: "healthy",
      locality: { region: "eu", zone: "eu-1", subZone: "" },
      labels: new Map([
        ["gpu", "true"],
        ["model.tokenmesh.io/llama", "8b"],
        ["version", "v1"],
      ]),
    });
    await call(consul, "check/update/c1", { Status: "warning" });
    await until("the weight for warnings", () => web.answers.at(-1)?.[0]?.weight === 3);
    await call(consul, "maintenance?enable=true");
    await until("maintenance of the node", () => web.answers.at(-1)?.[0]?.health === "draining");
  });

  it.each(["consistent", "stale"] as const)("answers %s questions", async (consistency) => {
    const { consul, web } = await start({}, { consistency, tag: "blue", passingOnly: true, datacenter: "dc1" });
    await call(consul, "service/register", instance("1", { Tags: ["blue"] }));
    await call(consul, "service/register", instance("2", { Tags: ["green"] }));
    await until("the endpoint with the tag", () => web.addresses?.length === 1);
    await call(consul, "check/update/c1", { Status: "critical" });
    await until("none that passes", () => web.addresses?.length === 0);
  });

  it("refuses a token that it does not know, and one that may read nothing is not taken for an empty service", async () => {
    const [management, none] = ["4a1e8d0e-0000-4000-8000-000000000001", "4a1e8d0e-0000-4000-8000-000000000002"];
    process.env.TM_TEST_CONSUL_TOKEN = "4a1e8d0e-0000-4000-8000-0000000000ff";
    const acl = {
      enabled: true,
      default_policy: "deny",
      tokens: { initial_management: management, agent: management },
    };
    const token = { env: "TM_TEST_CONSUL_TOKEN", file: undefined };
    const { consul, web } = await start({ configuration: { acl }, token: management }, { token });
    await until("a refusal", () => web.code === "TM_DISCOVERY_DENIED");
    expect(web.failures.at(-1)?.message).toContain("ACL not found");
    await call(consul, "service/register", instance("1"), management);
    const made = { AccessorID: none, SecretID: none, Description: "may read nothing" };
    await call({ address: consul.address }, "../acl/token", made, management);
    process.env.TM_TEST_CONSUL_TOKEN = none;
    await until("a filtered answer", () => web.failures.at(-1)?.message.includes("shows the token nothing") === true);
    expect(web.answers).toEqual([]);
    process.env.TM_TEST_CONSUL_TOKEN = management;
    await until("the endpoint", () => web.addresses?.length === 1);
  });

  it("says why it does not answer", async () => {
    const { web } = await start({}, { datacenter: "dc7" });
    await until("an unknown datacenter", () => web.code === "TM_DISCOVERY_FAILED");
    expect(web.failures.at(-1)?.message).toContain("No path to datacenter");
  });
});
