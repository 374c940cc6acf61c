import { describe, expect, it } from "vitest";
import {
  arranged,
  fakeEureka,
  POLL,
  paths,
  register,
  remove,
  startPolled,
  until,
} from "../../../test/fixtures/discovery/polled-eureka.ts";

/** What an Eureka server does not say, and may only have forgotten. */
describe("doubt about an Eureka server", () => {
  it("reads everything again when the hash differs, and keeps for a while who is missing then", async () => {
    const { clock, eureka, web, poll } = await arranged({ ids: ["1", "2"] });
    eureka.loseSilently("web", "1");
    await poll();
    expect(paths(eureka)).toEqual(["/", "/delta", "/"]);
    expect(web.addresses).toEqual(["10.0.0.1", "10.0.0.2"]);
    clock.advance(90_000);
    await until("the end of the grace period", () => web.addresses?.length === 1);
    expect(web.addresses).toEqual(["10.0.0.2"]);
  });

  it("keeps endpoints when a server has forgotten everything, also when it was not seen to be down", async () => {
    const eureka = await fakeEureka();
    for (const id of ["1", "2"]) await register(eureka, id);
    const { watch, poll } = await startPolled([eureka]);
    const web = watch();
    const nobody = watch("nobody");
    await until("the first answer", () => web.addresses?.length === 2 && nobody.addresses?.length === 0);
    eureka.forget();
    await poll();
    expect(web.addresses).toEqual(["10.0.0.1", "10.0.0.2"]);
    expect(nobody.code).toBe("TM_DISCOVERY_EMPTY");
    await register(eureka, "2");
    await poll();
    expect(web.addresses).toEqual(["10.0.0.1", "10.0.0.2"]);
    await remove(eureka, "2");
    await register(eureka, "3");
    await poll();
    expect(web.addresses).toEqual(["10.0.0.1", "10.0.0.3"]);
    expect(nobody.addresses).toEqual([]);
  });

  it("does not take a server without any instance for one that has none, until it has had time", async () => {
    const eureka = await fakeEureka();
    const { watch, poll } = await startPolled([eureka]);
    const web = watch();
    await until("the first answer", () => web.code === "TM_DISCOVERY_EMPTY");
    for (let i = 0; i < 8; i++) await poll();
    expect(web.answers).toEqual([]);
    await poll();
    expect(web.addresses).toEqual([]);
  });

  it("believes that the last instance has gone when the server says so", async () => {
    const { eureka, web, poll } = await arranged({ ids: ["1"] });
    await remove(eureka, "1");
    await poll();
    expect(web.addresses).toEqual([]);
    expect(web.failures).toEqual([]);
  });

  it("asks for everything always where there are no deltas, and believes what is missing then", async () => {
    const { eureka, web, poll } = await arranged({ ids: ["1", "2"], deltas: false });
    await poll();
    await remove(eureka, "1");
    await poll();
    expect(web.addresses).toEqual(["10.0.0.2"]);
    expect(paths(eureka)).toEqual(["/", "/delta", "/", "/"]);
  });

  it("has one timer for what it holds", async () => {
    const { clock, eureka, web, poll } = await arranged({ ids: ["1", "2"] });
    eureka.loseSilently("web", "1");
    for (let i = 0; i < 3; i++) await poll();
    await until("one for the next question, one for the end of the grace period", () => clock.waiting === 2);
    eureka.http.hostile("silent");
    clock.advance(10_000);
    await until("an open question", () => eureka.http.waiting === 0 && clock.waiting === 2);
    expect(web.addresses).toHaveLength(2);
    const told = web.answers.length;
    clock.advance(4_999);
    expect(web.answers).toHaveLength(told);
  });

  it("does not take the end of a grace period for an answer of a server that is down", async () => {
    const { clock, eureka, web, poll } = await arranged({ ids: ["1", "2"] });
    eureka.loseSilently("web", "1");
    await poll();
    expect(web.addresses).toHaveLength(2);
    await eureka.http.stop();
    clock.advance(POLL);
    await until("a failure", () => web.failures.length === 1 && clock.waiting === 1);
    const told = web.answers.length;
    for (let i = 0; i < 9; i++) {
      const { length } = web.failures;
      clock.advance(30_000);
      await until("a further failure", () => web.failures.length > length && clock.waiting === 1);
    }
    expect(web.answers).toHaveLength(told);
    await eureka.http.start();
    clock.advance(30_000);
    await until("an answer", () => web.answers.length > told);
    expect(web.addresses).toEqual(["10.0.0.2"]);
  });

  it("believes who is said to be gone while it is held", async () => {
    const { eureka, web, poll } = await arranged({ ids: ["1", "2"] });
    eureka.loseSilently("web", "1");
    await poll();
    expect(web.addresses).toEqual(["10.0.0.1", "10.0.0.2"]);
    await register(eureka, "1");
    await remove(eureka, "1");
    await poll();
    expect(web.addresses).toEqual(["10.0.0.2"]);
  });

  it("still believes that there is no instance when everything is read again", async () => {
    const { eureka, web, poll } = await arranged({ ids: ["1"] });
    await remove(eureka, "1");
    for (let i = 0; i < 62; i++) await poll();
    expect(paths(eureka).filter((path) => path === "/").length).toBeGreaterThan(1);
    expect(web.addresses).toEqual([]);
    expect(web.failures).toEqual([]);
  });

  it("doubts an empty registry each time that it is one of a sudden", async () => {
    const eureka = await fakeEureka();
    const { watch, poll } = await startPolled([eureka]);
    const nobody = watch("nobody");
    await until("doubt", () => nobody.code === "TM_DISCOVERY_EMPTY");
    await register(eureka, "1");
    for (let i = 0; i < 12; i++) await poll();
    expect(nobody.addresses).toEqual([]);
    const { length } = nobody.failures;
    eureka.forget();
    await poll();
    expect(nobody.failures).toHaveLength(length + 1);
  });

  it("does not believe what is missing at another server, also where there are no deltas", async () => {
    const [one, two] = [await fakeEureka(), await fakeEureka()];
    for (const each of [one, two]) each.deltas = false;
    for (const id of ["1", "2"]) await register(one, id);
    await register(two, "2");
    const { watch, poll } = await startPolled([one, two]);
    const web = watch();
    await until("the first answer", () => web.addresses?.length === 2);
    await poll();
    await one.http.stop();
    await poll();
    expect(web.addresses).toEqual(["10.0.0.1", "10.0.0.2"]);
  });
});
