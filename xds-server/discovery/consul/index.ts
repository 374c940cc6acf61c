export { ConsulSource, type ConsulTimes, consulSource } from "./consul-source.ts";
