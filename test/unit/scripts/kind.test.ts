import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { parse } from 'yaml';

/** Programs that note how they were called, in place of the real ones. */
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'largesse-kind-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('without its tools it makes nothing, and names each with its remedy', () => {
  put('docker', 'exit 1');
  const { status, stderr } = run('kind-up');
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /docker info fails \(exit code 1\): .+\nThere is no kind .+\nThere is no kubectl .+\n/,
  );
});

test('it makes the cluster of k8s/kind.yaml, and says what is missing for the rest', () => {
  putAll('echo another');
  const { status, stdout } = run('kind-up');
  expect(status).toBe(0);
  expect(calls()).toContain('kind create cluster --config k8s/kind.yaml --wait 120s');
  expect(stdout).toMatch(/context kind-largesse[\s\S]*Still missing. There is no helm[\s\S]*no skaffold/);
});

test('a cluster that is there is found again, and not made twice', () => {
  putAll('echo largesse');
  expect(run('kind-up').status).toBe(0);
  expect(calls()).toContain('kind export kubeconfig --name largesse');
  expect(calls().join()).not.toContain('create');
});

test('what kind fails with is what the command fails with', () => {
  putAll('[ "$1" = create ] && exit 7; true');
  expect(run('kind-up').status).toBe(7);
});

test('it is taken away by its name, once', () => {
  putAll('echo largesse');
  expect(run('kind-down').status).toBe(0);
  expect(calls()).toContain('kind delete cluster --name largesse');
  putAll('echo largesse-2');
  expect(run('kind-down').stdout).toBe('There is no cluster largesse.\n');
});

test('a node is pinned by version and digest, and nobody else reaches its API server', () => {
  const { nodes, networking } = parse(readFileSync('k8s/kind.yaml', 'utf8'));
  for (const { image } of nodes) expect(image).toMatch(/^kindest\/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}$/);
  expect(networking.apiServerAddress).toBe('127.0.0.1');
});

function putAll(kind: string): void {
  put('docker', '');
  put('kubectl', '');
  put('kind', `[ "$1" = get ] || [ "$1" = create ] || exit 0\n${kind}`);
}

function put(name: string, script: string): void {
  const lines = ['#!/bin/sh', `echo "${name} $*" >> "${folder}/calls"`, script];
  writeFileSync(join(folder, name), `${lines.join('\n')}\n`, { mode: 0o755 });
}

function calls(): string[] {
  return readFileSync(join(folder, 'calls'), 'utf8').split('\n');
}

function run(script: string) {
  const options = { encoding: 'utf8', env: { PATH: folder } } as const;
  return spawnSync(process.execPath, [`scripts/${script}.ts`], options);
}
