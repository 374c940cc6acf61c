/** ioredis, loaded with the first connection: most servers have none, and it takes 45 modules. Not by `import()`: what is wrong with an address is to be said at once, where it is given. */
import { createRequire } from "node:module";

type Driver = typeof import("ioredis");

const require = createRequire(import.meta.url);
let loaded: Driver | undefined;

export function driver(): Driver {
  loaded ??= require("ioredis") as Driver;
  return loaded;
}
