import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControlPlaneFixture, changedNames, discovered } from "../../test/fixtures/control-plane.ts";
import { found, GATEWAY, route, SOURCE, service } from "../../test/fixtures/control-plane-documents.ts";
import { formatError } from "../config/index.ts";

/** What is published when files and documents change, and what is not; what a change would do, and how to undo it. */

let plane: ControlPlaneFixture;

beforeEach(() => {
  plane = new ControlPlaneFixture();
});

afterEach(() => plane.dispose());

describe("files", () => {
  it("are published when they change, and what is wrong stays out", () => {
    plane.write("a.yaml", GATEWAY, service("app"));
    expect([plane.control.load(), plane.control.load()]).toEqual(["published", "unchanged"]);
    const before = plane.versions();
    plane.write("b.yaml", "kind: X");
    expect(plane.control.load()).toBe("rejected");
    expect([plane.versions(), plane.control.errors.length]).toEqual([before, 1]);
    plane.write("b.yaml", route(204));
    expect([plane.control.load(), plane.control.errors]).toEqual(["published", []]);
    expect(changedNames(before, plane.versions())).toEqual(["RDS default/edge/http"]);
  });

  it("that say nothing are refused", () => {
    expect(plane.control.load()).toBe("rejected");
    expect(plane.control.errors).toMatchObject([{ code: "TM_CONFIG_EMPTY" }]);
    expect(plane.control.version("default")).toBeUndefined();
  });

  it("ready resolves with the first that is published", async () => {
    let isReady = false;
    const ready = plane.control.ready().then(() => {
      isReady = true;
    });
    plane.control.load();
    await Promise.resolve();
    expect(isReady).toBe(false);
    plane.write("a.yaml", GATEWAY);
    plane.control.load();
    await ready;
  });
});

describe("documents of the API", () => {
  it("win over files, with a warning where the file is", () => {
    plane.write("a.yaml", GATEWAY, route(204));
    plane.control.load();
    plane.store("VirtualService/default/app", route(205));
    expect(plane.clock.waiting).toBe(1);
    plane.clock.pass(100);
    expect(JSON.stringify(plane.control.view("default"))).toContain('"status":205');
    expect(plane.control.warnings.map(formatError)).toEqual([
      expect.stringMatching(
        /a\.yaml:8:1: TM_CONFIG_OVERRIDDEN VirtualService\/default\/app has no effect here: api:VirtualService\/default\/app has it too; /,
      ),
    ]);
    const document = plane.control.documents().get("VirtualService/default/app");
    expect(document).toMatchObject({ file: "api:VirtualService/default/app", version: "1" });
    expect(plane.control.documents().get("Gateway/default/edge")).toMatchObject({
      file: expect.stringMatching(/a\.yaml$/),
      version: undefined,
      text: expect.stringContaining("name: edge"),
    });
    plane.store("VirtualService/default/app", undefined);
    plane.control.flush();
    expect(JSON.stringify(plane.control.view("default"))).toContain('"status":204');
    expect(plane.control.warnings).toEqual([]);
  });

  it("that come together are one configuration", () => {
    plane.write("a.yaml", GATEWAY);
    plane.control.load();
    let published = 0;
    plane.cache.watch("default", () => published++);
    for (let i = 0; i < 5; i++) {
      plane.store(`ServiceEntry/default/s${i}`, service(`s${i}`));
      plane.clock.pass(99);
    }
    expect(published).toBe(0);
    plane.clock.pass(1);
    expect(published).toBe(1);
    for (let i = 0; i < 300; i++) {
      plane.store(`ServiceEntry/default/t${i}`, service(`t${i}`));
      plane.clock.pass(50);
    }
    // 15 s without a quiet moment.
    expect(published).toBe(2);
  });

  it("must be what they are stored as", () => {
    plane.write("a.yaml", GATEWAY);
    plane.store("VirtualService/default/other", route(204));
    plane.store("Gateway/default/two", `${GATEWAY}\n---\n${GATEWAY}`);
    expect(plane.control.load()).toBe("rejected");
    expect(plane.control.errors.map(({ file, message }) => [file, message])).toEqual(
      expect.arrayContaining([
        ["api:VirtualService/default/other", "this is VirtualService/default/app"],
        ["api:Gateway/default/two", "there are 2 documents here"],
      ]),
    );
  });

  it("with errors name them and the place in their text", () => {
    plane.write("a.yaml", GATEWAY);
    plane.store("VirtualService/default/app", route(99));
    expect(plane.control.load()).toBe("rejected");
    expect(plane.control.errors.map(formatError)).toEqual([
      expect.stringMatching(/^api:VirtualService\/default\/app:5:.*: TM_CONFIG_INVALID_VALUE spec\.http\[0\]/),
    ]);
  });
});

describe("a proposal", () => {
  beforeEach(() => {
    plane.write("a.yaml", GATEWAY, route(204), service("app"));
    plane.control.load();
  });
  const file = "api:VirtualService/default/app";

  it("says what would change and changes nothing", () => {
    const before = plane.versions();
    const result = plane.control.diff({ put: [{ file, text: `${route(205)}\n---\n${service("b")}` }] });
    expect(result).toMatchObject({ ok: true, errors: [] });
    expect(result.groups).toEqual({
      default: {
        CDS: { added: ["outbound|80||b.test"], changed: [], removed: [] },
        EDS: { added: ["outbound|80||b.test"], changed: [], removed: [] },
        RDS: { added: [], changed: ["default/edge/http"], removed: [] },
      },
    });
    expect([plane.versions(), plane.control.load()]).toEqual([before, "unchanged"]);
    expect(plane.control.diff({})).toMatchObject({ ok: true, groups: {} });
  });

  it("that is wrong says everything that is", () => {
    const text = `${route(99)}\n---\nkind: Nonsense\napiVersion: v1`;
    const { ok, errors } = plane.control.check({ put: [{ file, text }] });
    expect([ok, errors.map(({ code, file: at, line }) => [code, at, line])]).toEqual([
      false,
      [
        ["TM_CONFIG_INVALID_VALUE", file, 5],
        ["TM_CONFIG_UNKNOWN_KIND", file, 7],
      ],
    ]);
    expect(plane.control.errors).toEqual([]);
  });

  it("may remove documents of the API, and be the whole configuration", () => {
    plane.store("VirtualService/default/app", route(205));
    plane.control.flush();
    expect(plane.control.diff({ remove: ["VirtualService/default/app"] }).groups).toMatchObject({
      default: { RDS: { changed: ["default/edge/http"] } },
    });
    const only = plane.control.diff({ put: [{ file: "x.yaml", text: GATEWAY }], only: true });
    expect(only.groups.default).toMatchObject({ CDS: { removed: ["outbound|80||app.test"] } });
    expect(plane.control.check({ put: [{ file: "x.yaml", text: "" }], only: true }).errors).toMatchObject([
      { code: "TM_CONFIG_EMPTY" },
    ]);
  });
});

describe("rollback", () => {
  const accept = () => {
    const snapshot = plane.cache.get("default");
    if (snapshot !== undefined) plane.control.accepted("default", snapshot);
  };

  it("goes back to what all accepted, until the next configuration", () => {
    plane.write("a.yaml", GATEWAY, route(204));
    plane.control.load();
    expect(plane.control.rollback("default")).toMatchObject({ ok: false, code: "TM_ROLLBACK_UNAVAILABLE" });
    accept();
    const good = plane.control.version("default");
    expect(plane.control.rollback("default")).toMatchObject({ ok: false });
    plane.write("a.yaml", GATEWAY, route(205));
    plane.control.load();
    expect(plane.control.groups()).toMatchObject([{ acceptedVersion: good, rolledBack: false }]);
    expect(plane.control.rollback("default")).toEqual({ ok: true, version: good });
    expect([plane.control.version("default"), plane.control.load()]).toEqual([good, "unchanged"]);
    expect(plane.control.groups()).toMatchObject([{ name: "default", version: good, rolledBack: true }]);
    plane.write("a.yaml", GATEWAY, route(206));
    expect(plane.control.load()).toBe("published");
    expect(plane.control.groups()).toMatchObject([{ rolledBack: false }]);
    expect(JSON.stringify(plane.control.view("default"))).toContain('"status":206');
    expect(plane.control.rollback("nobody")).toMatchObject({ ok: false, message: "there is no node group nobody" });
  });

  it("keeps what discovery says, then and later", () => {
    const CLUSTER = "outbound|80||app.test";
    plane.discover("default/app", discovered("10.0.0.1"));
    plane.write("a.yaml", SOURCE, found("app"), service("static", "10.1.0.1"));
    plane.control.load();
    accept();
    plane.discover("default/app", discovered("10.0.0.2"));
    plane.write("a.yaml", SOURCE, found("app"), service("static", "10.1.0.2"), service("new"));
    plane.control.load();
    plane.clock.pass(0);
    expect(plane.control.rollback("default").ok).toBe(true);
    expect([plane.served(CLUSTER), plane.served("outbound|80||static.test")]).toEqual([
      ["10.0.0.2:80 1 -"],
      ["10.1.0.1:80 1 -"],
    ]);
    expect(plane.versions().has("CDS outbound|80||new.test")).toBe(false);
    plane.discover("default/app", discovered("10.0.0.3"));
    plane.weigh("outbound|80||new.test", "10.0.0.1", 80, 4);
    plane.clock.pass(0);
    expect(plane.served(CLUSTER)).toEqual(["10.0.0.3:80 1 -"]);
    expect(plane.versions().has("EDS outbound|80||new.test")).toBe(false);
  });
});
