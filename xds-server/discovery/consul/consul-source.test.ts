import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { describeDiscovery } from "../../../test/conformance/discovery.ts";
import { FakeConsul } from "../../../test/fixtures/discovery/consul.ts";
import { call, consulFixture, consulOptions, consulSpec } from "../../../test/fixtures/discovery/consul-fixture.ts";
import { ManualClock } from "../../../test/fixtures/discovery/manual-clock.ts";
import { RecordingObserver } from "../../../test/fixtures/discovery/recording-observer.ts";
import type { ConsulDiscovery } from "../../config/discovery-model.ts";
import { silentLogger } from "../../log.ts";
import { systemClock } from "../clock.ts";
import { ConsulSource, waitFor as waitOf } from "./consul-source.ts";
import { consulSource } from "./index.ts";

describeDiscovery(
  "Consul (fake)",
  async () => {
    const consul = new FakeConsul();
    const { http } = consul;
    await http.start();
    const restart = async () => {
      consul.forget();
      await http.start();
    };
    const hostile = http.hostile.bind(http);
    return consulFixture({ address: http.address, stop: () => http.stop(), restart, hostile });
  },
  consulOptions,
);

describe("Consul source", () => {
  const open: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });

  async function start(
    more: Partial<ConsulDiscovery> = {},
    {
      clock = systemClock as ManualClock | typeof systemClock,
      poll = { min: 5, max: 1_000 },
      graceMs = 60_000,
      random = (): number => 0,
    } = {},
  ) {
    const consul = new FakeConsul();
    await consul.http.start();
    open.push(() => consul.http.stop());
    const spec = { ...consulSpec(consul.http.address, more), poll };
    const context = { name: "default/consul", clock, random, log: silentLogger };
    const source = new ConsulSource(spec, spec.consul as ConsulDiscovery, context, { graceMs });
    open.push(() => source.close());
    const watch = (service = "web") => {
      const observer = new RecordingObserver();
      return Object.assign(observer, { unwatch: source.watch(service, observer) });
    };
    const register = (id: string, more: Record<string, unknown> = {}) =>
      call(consul.http, "service/register", { ID: id, Name: "web", Address: `10.0.0.${id}`, Port: 80, ...more });
    const questions = () => consul.http.requests.filter(({ method }) => method === "GET").map(({ url }) => url);
    return { consul, source, watch, register, questions };
  }

  const until = (what: string, condition: () => boolean | Promise<boolean>) => waitFor(condition, { what });

  it("asks once at once, and then waits for what changes", async () => {
    const { watch, register, questions } = await start();
    await register("1");
    const web = watch();
    await until("a waiting question", () => questions().length === 2);
    expect(web.addresses).toEqual(["10.0.0.1"]);
    expect(questions()[0]?.search).toBe("");
    expect(questions()[1]?.searchParams.get("index")).toBe("11");
    expect(questions()[1]?.searchParams.get("wait")).toBe("1000ms");
    await register("2");
    await until("the change", () => web.addresses?.length === 2);
    expect(questions().length).toBeLessThanOrEqual(3);
  });

  it("shares the questions of all watches of a service, and stops with the last", async () => {
    const { consul, watch, questions } = await start();
    const watches = [watch(), watch(), watch("api")];
    await until("two waiting questions", () => questions().length === 4);
    for (const each of watches) expect(each.addresses).toEqual([]);
    for (const each of watches) each.unwatch();
    const asked = questions().length;
    await until("no waiting question", () => consul.http.waiting === 0);
    expect(questions()).toHaveLength(asked);
  });

  it("needs the token, reads it anew for each question, and never shows it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tokenmesh-consul-"));
    open.push(async () => rmSync(folder, { recursive: true }));
    const file = join(folder, "token");
    writeFileSync(file, "wrong-token");
    const { consul, watch } = await start({ token: { file, env: undefined } });
    consul.token = "right-token";
    const web = watch();
    await until("a refusal", () => web.code === "TM_DISCOVERY_DENIED");
    expect(web.failures[0]?.message).toContain("403: ");
    for (const { message } of web.failures) expect(message).not.toContain("wrong-token");
    rmSync(file);
    await until("no secret", () => web.code === "TM_DISCOVERY_SECRET");
    writeFileSync(file, "right-token\n");
    await until("an answer", () => web.addresses?.length === 0);
  });

  it("does not take for empty what a token may not see, nor what a server without a leader does not know", async () => {
    const { consul, watch, register } = await start();
    await register("1");
    const web = watch();
    await until("the endpoint", () => web.addresses?.length === 1);
    consul.headers = { "x-consul-results-filtered-by-acls": "true" };
    await call(consul.http, "service/deregister/1");
    await until("a refusal", () => web.code === "TM_DISCOVERY_DENIED");
    consul.headers = { "x-consul-knownleader": "false" };
    await until("doubt", () => web.code === "TM_DISCOVERY_EMPTY");
    expect(web.answers.every((all) => all.length === 1)).toBe(true);
    consul.headers = {};
    await until("an empty answer", () => web.addresses?.length === 0);
  });

  it("believes instances that such a token sees, and of such a server", async () => {
    const { consul, watch, register } = await start();
    consul.headers = { "x-consul-results-filtered-by-acls": "true", "x-consul-knownleader": "false" };
    await register("1");
    const web = watch();
    await until("the endpoint", () => web.addresses?.length === 1);
    expect(web.failures).toEqual([]);
  });

  it("keeps endpoints for the grace period when Consul has lost its state", async () => {
    const clock = new ManualClock();
    const { consul, watch, register } = await start({}, { clock, graceMs: 60_000 });
    for (const id of ["1", "2", "3"]) await register(id);
    const web = watch();
    await until("three endpoints", () => web.addresses?.length === 3);
    consul.forget();
    await register("2");
    await until("an answer of the new Consul", () => web.answers.length > 1);
    expect(web.addresses).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    await register("4");
    await until("the new endpoint", () => web.addresses?.length === 4);
    await call(consul.http, "service/deregister/2");
    clock.advance(5); // one more question is earned
    await until("the removal of who had come back", () => web.addresses?.includes("10.0.0.2") === false);
    expect(web.addresses).toEqual(["10.0.0.1", "10.0.0.3", "10.0.0.4"]);
    await until("the limit of a question, and the end of the grace period", () => clock.waiting === 2);
    clock.advance(60_000);
    expect(web.addresses).toEqual(["10.0.0.4"]);
  });

  it("does not take the end of a grace period for an answer of a Consul that is down", async () => {
    const clock = new ManualClock();
    const { consul, watch, register } = await start({}, { clock, poll: { min: 1, max: 3_600_000 } });
    for (const id of ["1", "2"]) await register(id);
    const web = watch();
    await until("both endpoints", () => web.addresses?.length === 2);
    consul.forget();
    await register("2");
    await until("an answer of the new Consul", () => web.answers.length > 1);
    consul.http.hostile("error");
    await until("a failure", () => web.failures.length > 0 && clock.waiting === 1);
    const told = web.answers.length;
    for (let i = 0; i < 3; i++) {
      const { length } = web.failures;
      clock.advance(30_000);
      await until("a further failure", () => web.failures.length > length && clock.waiting === 1);
    }
    expect(web.answers).toHaveLength(told);
    consul.http.hostile(undefined);
    clock.advance(30_000);
    await until("an answer", () => web.answers.length > told);
    expect(web.addresses).toEqual(["10.0.0.2"]);
  });

  it("asks at once after a failure, whose pauses grow until there is an answer", async () => {
    const clock = new ManualClock();
    const { consul, watch, register, questions } = await start(
      {},
      { clock, random: () => 1, poll: { min: 1, max: 60_000 } },
    );
    await register("1");
    const web = watch();
    await until("a waiting question", () => questions().length === 2);
    const failAndPause = async (failures: number, pauseMs: number) => {
      await until("a failure", () => web.failures.length === failures && clock.waiting === 1);
      const asked = questions().length;
      clock.advance(pauseMs - 1);
      expect(questions()).toHaveLength(asked);
      clock.advance(1);
      await until("the next question", () => questions().length === asked + 1);
      expect(questions().at(-1)?.search).toBe("");
    };
    consul.http.hostile("error");
    await failAndPause(1, 500);
    await failAndPause(2, 1_000);
    await until("a third failure", () => web.failures.length === 3 && clock.waiting === 1);
    consul.http.hostile(undefined);
    const told = web.answers.length;
    clock.advance(2_000);
    await until("the answer, although nothing has changed", () => web.answers.length > told);
    await until("a waiting question", () => questions().at(-1)?.searchParams.has("index") === true);
    consul.http.hostile("error");
    await failAndPause(4, 500);
  });

  it("tells nobody anything after it was closed", async () => {
    const { source, watch, register, questions } = await start();
    const [never, noService] = [watch(), watch("no service")];
    await source.close();
    const asked = questions().length;
    const late = watch();
    for (const id of ["1", "2"]) await register(id); // longer than a question takes
    expect(questions()).toHaveLength(asked);
    expect([late.answers, late.failures]).toEqual([[], []]);
    for (const { answers, failures } of [never, noService]) expect([answers, failures]).toEqual([[], []]);
  });

  it("asks for a tag, for passing instances, and for weaker answers", async () => {
    const { watch, register, questions } = await start({ tag: "gpu", passingOnly: true, consistency: "stale" });
    await register("1", { Tags: ["gpu"], Check: { CheckID: "c1", Status: "passing" } });
    await register("2", { Tags: ["gpu"], Check: { CheckID: "c2", Status: "critical" } });
    await register("3", { Tags: ["cpu"] });
    const web = watch();
    await until("an answer", () => web.answers.length > 0);
    expect(web.addresses).toEqual(["10.0.0.1"]);
    expect(questions()[0]?.search).toBe("?tag=gpu&passing=true&stale=");
  });

  it("asks now and then when there is no index to wait for", async () => {
    const clock = new ManualClock();
    const { consul, watch, register, questions } = await start({}, { clock, poll: { min: 1, max: 3_600_000 } });
    consul.headers = { "x-consul-index": "0" };
    const web = watch();
    await until("an answer", () => web.answers.length === 1 && clock.waiting === 1);
    await register("1");
    clock.advance(9_999);
    expect(questions()).toHaveLength(1);
    clock.advance(1);
    await until("the change", () => web.addresses?.length === 1);
    expect(questions()).toHaveLength(2);
  });

  it("makes no busy loop with a service that never rests", async () => {
    const clock = new ManualClock();
    const { consul, watch, questions } = await start({}, { clock, poll: { min: 1_000, max: 60_000 } });
    // An index that is always behind: each question is answered at once.
    consul.headers = { "x-consul-index": "1" };
    watch();
    await until("the burst", () => questions().length === 4 && clock.waiting === 1);
    for (let second = 1; second <= 3; second++) {
      clock.advance(1_000);
      await until("one more question", () => questions().length === 4 + second && clock.waiting === 1);
    }
  });

  it("asks for more services than an agent takes connections from one client", async () => {
    expect([waitOf(128, 55_000), waitOf(256, 55_000), waitOf(1_280, 55_000)]).toEqual([55_000, 5_000, 1_000]);
    expect(waitOf(256, 300)).toBe(300);
    const { consul, watch } = await start();
    const services = Array.from({ length: 150 }, (_, i) => watch(`s${i}`));
    await until("all answers", () => services.every(({ answers }) => answers.length > 0));
    expect(await consul.http.connections()).toBeLessThanOrEqual(128);
  });

  it("is for specifications of its kind alone", () => {
    const spec = { ...consulSpec("h"), consul: undefined };
    const context = { name: "default/x", clock: systemClock, random: () => 0, log: silentLogger };
    expect(() => consulSource(spec, context)).toThrow("not of kind consul");
  });
});
