import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { type Patch, patched } from './patch.ts';

export const FILE = 'skaffold.yaml';
/** The namespace that the file names; a test puts its own in its place. */
export const NAMESPACE = 'largesse-dev';

/** What this project's skaffold.yaml uses of skaffold's format. */
export interface Configuration {
  apiVersion: string;
  metadata: { name: string };
  requires?: { configs: string[] }[];
  build: { artifacts: Artifact[] };
  manifests?: { rawYaml: string[] };
  deploy: { helm: { releases: Release[]; hooks?: Hooks }; kubectl?: { hooks?: Hooks } };
  portForward?: PortForward[];
  profiles?: Profile[];
}

export interface Artifact {
  image: string;
  docker: { dockerfile: string; buildArgs?: Record<string, string> };
}

export interface Release {
  name: string;
  namespace: string;
  chartPath?: string;
  remoteChart?: string;
  repo?: string;
  version?: string;
  valuesFiles?: string[];
  setValues?: Record<string, string>;
  setValueTemplates?: Record<string, string>;
  wait?: boolean;
}

export interface Hooks {
  before?: { host: { command: string[] } }[];
  after?: { host: { command: string[] } }[];
}

export interface PortForward {
  resourceType: string;
  resourceName: string;
  namespace: string;
  port: number;
  localPort: number;
}

interface Profile {
  name: string;
  patches?: Patch[];
  portForward?: PortForward[];
}

/** skaffold.yaml with a profile, in the order in which skaffold deploys: what is required comes first. */
export function readConfigurations(profile?: string, namespace = NAMESPACE): Configuration[] {
  const text = readFileSync(FILE, 'utf8').replaceAll(NAMESPACE, namespace);
  const all = parseAllDocuments(text).map((document) => withProfile(document.toJS(), profile));
  const isRequired = ({ metadata }: Configuration) =>
    all.some(({ requires = [] }) => requires.some(({ configs }) => configs.includes(metadata.name)));
  return [...all.filter(isRequired), ...all.filter((each) => !isRequired(each))];
}

/** As skaffold does it: the lists of a profile stand in for those of the file, then its patches are applied. */
function withProfile(file: Configuration, name: string | undefined): Configuration {
  const profile = file.profiles?.find((each) => each.name === name);
  if (profile === undefined) return file;
  const { portForward = file.portForward } = profile;
  const merged = { ...file, ...(portForward === undefined ? {} : { portForward }) };
  return patched(merged, profile.patches ?? []);
}

/** The release of Largesse itself. */
export function releaseOfLargesse(profile?: string, namespace?: string): Release {
  const releases = readConfigurations(profile, namespace).flatMap(({ deploy }) => deploy.helm.releases);
  const release = releases.find(({ name }) => name === 'largesse');
  if (release === undefined) throw new Error(`${FILE} has no release named largesse`);
  return release;
}
