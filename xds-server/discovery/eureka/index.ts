export { EurekaSource, type EurekaTimes, eurekaSource } from "./eureka-source.ts";
