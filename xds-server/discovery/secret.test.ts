import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MAX_SECRET_BYTES } from "./limits.ts";
import { readSecret } from "./secret.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tokenmesh-secret-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const env = (name: string) => ({ env: name, file: undefined });
const file = (path: string) => ({ env: undefined, file: path });

describe("secrets of sources", () => {
  it("come from the environment or a file, as they are at that moment", () => {
    expect(readSecret(env("TOKEN"), { TOKEN: " s3cret " })).toBe("s3cret");
    const path = join(folder, "token");
    writeFileSync(path, "one\n");
    expect(readSecret(file(path))).toBe("one");
    writeFileSync(path, "two\n");
    expect(readSecret(file(path))).toBe("two");
  });

  it("are refused without ever being shown", () => {
    const path = join(folder, "token");
    writeFileSync(path, "s3cret\nsecond line");
    const big = `${path}.big`;
    writeFileSync(big, "s3cret".repeat(MAX_SECRET_BYTES));
    const cases = [
      [() => readSecret(env("TOKEN"), {}), "environment variable TOKEN holds no secret"],
      [() => readSecret(env("TOKEN"), { TOKEN: " \n" }), "environment variable TOKEN holds no secret"],
      [() => readSecret(env("TOKEN"), { TOKEN: "s3cret\u0000" }), "is not one line of visible ASCII"],
      [() => readSecret(file(path)), "is not one line of visible ASCII"],
      [() => readSecret(file(big)), "has more than"],
      [() => readSecret(file(`${path}.none`)), "cannot be read (ENOENT)"],
    ] as const;
    for (const [read, message] of cases) {
      expect(read).toThrow(`TM_DISCOVERY_SECRET`);
      expect(read).toThrow(message);
      expect(read).not.toThrow("s3cret");
    }
  });
});
