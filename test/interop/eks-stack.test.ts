import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { GiftId } from '../../services/domain/ids.ts';
import { storyOf } from '../integration/consumer/world.ts';
import { acceptOverHttp, createSystem, giftBody, type System } from '../integration/crash/system.ts';
import { eventually } from '../support/eventually.ts';
import {
  pythonAvailable,
  pythonPrograms,
  type ServerProcess,
  startServerProcess,
} from '../support/python-package.ts';

const TEMPLATE = 'k8s/eks/aws.yaml';
const PACKAGES = ['moto[server]==5.2.5', 'cfn-lint==1.58.0'];
const run = promisify(execFile);

/** Makes a stack as `aws cloudformation deploy` does. @returns its status and its outputs, on standard output */
const DEPLOY = `
import boto3, json, sys
url, template, parameters = sys.argv[1:]
client = boto3.client('cloudformation', endpoint_url=url, region_name='eu-central-1', aws_access_key_id='test', aws_secret_access_key='test')
client.create_stack(StackName='largesse', TemplateBody=open(template).read(), Capabilities=['CAPABILITY_IAM'],
  Parameters=[{'ParameterKey': key, 'ParameterValue': value} for key, value in json.loads(parameters).items()])
stack = client.describe_stacks(StackName='largesse')['Stacks'][0]
print(json.dumps({'status': stack['StackStatus'], 'outputs': {each['OutputKey']: each['OutputValue'] for each in stack['Outputs']}}))
`;

const hasPython = await pythonAvailable();
if (hasPython) describe('the stack of docs/eks.md', theStack);
else describe.skip('the stack of docs/eks.md (NOT RUN: no Python 3 with venv)', theStack);

function theStack(): void {
  let programs: string;
  let system: System;
  let server: ServerProcess & { match: RegExpExecArray };

  beforeAll(async () => {
    programs = await pythonPrograms('eks-stack', PACKAGES);
    const ready = /Running on (http:\/\/127\.0\.0\.1:\d+)/;
    const args = ['-H', '127.0.0.1', '-p', '0'];
    [server, system] = await Promise.all([
      startServerProcess(join(programs, 'moto_server'), args, { ready }),
      createSystem(),
    ]);
    // The first use on a machine fetches the programs.
  }, 400_000);
  afterAll(async () => {
    await system?.end();
    await server?.stop();
  });

  test('cfn-lint finds nothing in the template', async () => {
    const { stdout } = await run(join(programs, 'cfn-lint'), [TEMPLATE]);
    expect(stdout).toBe('');
  });

  test('cfn-lint finds a mistake in it', async () => {
    const text = (await readFile(TEMPLATE, 'utf8')).replace('VisibilityTimeout: 60', 'VisibilityTimeOut: 60');
    const linting = run(join(programs, 'cfn-lint'), ['-']);
    linting.child.stdin?.end(text);
    await expect(linting).rejects.toThrow();
  });

  test('its queues are taken by roles that make none: a gift is delivered through them', async () => {
    const [, endpoint = ''] = server.match;
    const parameters = { ClusterName: 'test', QueueName: system.queueName };
    const deploy = ['-c', DEPLOY, endpoint, TEMPLATE, JSON.stringify(parameters)];
    const { stdout } = await run(join(programs, 'python'), deploy);
    expect(JSON.parse(stdout)).toEqual({
      status: 'CREATE_COMPLETE',
      outputs: { QueueUrl: expect.stringMatching(new RegExp(`/${system.queueName}$`)) },
    });
    // As the chart has them: nothing but what a role is told anyway.
    const env = {
      AWS_ENDPOINT_URL_SQS: endpoint,
      QUEUE_PROVISIONING: 'verify',
      VISIBILITY_TIMEOUT_SECONDS: '60',
    };
    const api = await system.startApi(env);
    await system.startConsumer(env);
    const [gift] = await acceptOverHttp(api, system.sender, [giftBody(1)]);
    await eventually(
      async () => {
        expect((await storyOf(system.database, gift as GiftId)).gift.state).toBe('delivered');
      },
      { timeoutMs: 20_000 },
    );
  });
}
