"""What --help says: each command in a sentence or two, and examples."""

ABOUT = """\
Raw text to a released language model: one pipeline of stages whose sealed results are kept and reused.

  gristmill run quickstart                    make a model from the text of this Python environment
  gristmill run tiny --text ~/texts           make one from text of yours, in seconds
  gristmill explain quickstart --set clean.words.min_words=30
  gristmill generate "Once upon a time"
  gristmill ui                                look at runs, stages and models in the browser"""
EXIT_CODES = "Exit codes: 0 done, 1 an error that you can mend, 2 wrong usage or parameters, 130 interrupted."
RUN = """\
Run the pipeline: raw text to a released model. Stages whose results are stored are reused, so after an interruption,
an error or a change of parameters the same command does only what is left to do.

  gristmill run quickstart
  gristmill run tiny --text ~/texts
  gristmill run quickstart --text ~/texts --text ~/more.jsonl --name my-model
  gristmill run my-preset.yaml --set train.stop.max_minutes=30 --set train.seed=7 --home /data/gristmill"""
PLAN = """\
Say which stages would run and which results would be reused. Nothing is made, no server is started.

  gristmill plan quickstart --set train.seed=7"""
EXPLAIN = """\
Say for every stage whether it would run and why: the parameter with its old and new value, the input that changed,
or the version of the stage's code. The comparison is with the newest run of the same preset.

  gristmill explain quickstart --set clean.words.min_words=30"""
ESTIMATE = """\
Tell, before anything runs, what training will take: parameters, arithmetic, memory by part for each parallel setting,
disk, time, money and energy; how the model suits the data; and what to change where it would not fit. On this machine
some steps of the real training are timed; for other hardware a table of accelerators is used.

  gristmill estimate quickstart
  gristmill estimate my-preset.yaml --on h100x8 --price 2.5
  gristmill estimate quickstart --set train.model.parameters=120M --no-trial --json"""
NOTIFY = """\
Show the channels through which a run tells of its end (section notify: mail, Slack, Feishu, DingTalk, WeCom, any
webhook), and what each still lacks; with --test, send a notice through all of them.

  gristmill notify my-preset.yaml --test"""
VERIFY = """\
Read every file of the store again and compare its SHA-256 with the seal. Exits with 1 if anything is damaged.

With --store, the files of a shared store (run.store) are read instead; of the home, only files that are in it.

  gristmill verify
  gristmill verify --stage train --remove
  gristmill verify --store s3://team/mill"""
GC = """\
Remove results that no run record refers to, and what an interrupted removal left. Drafts, from which interrupted runs
go on (training checkpoints among them), stay unless --drafts is given.
Results that a run under way uses are never touched. With --keep-runs, runs whose model version bears an alias in the
registry (champion, challenger …) are kept however old they are.
What an index of duplicates (dedup.index) stands on stays until --drop-index names it; the indexes of a model's earlier
generations, which retraining compares with no more, go by themselves.
A shared store (run.store) is touched only with --store: what no run of any home refers to is removed there, if it is a
day old.

  gristmill gc --dry-run
  gristmill gc --drop-index news
  gristmill gc --keep-runs 5 --drafts
  gristmill gc --store s3://team/mill --keep-runs 50 --dry-run"""
RUNS = """\
List the runs of this home, show one, forget one, or see what stages took over the last ones.

  gristmill runs
  gristmill runs show 20260131
  gristmill runs usage -n 10
  gristmill runs delete 20260131-101500-ab12"""
USAGE = """\
What each stage took over the last runs: seconds, processor seconds, peak memory, disk, cost where run.price_per_hour
is set. A dash stands where a stage was reused or not come to. MLflow has the same as metrics usage/STAGE.NAME, and
Prefect as the artifact `usage` of each flow run.

  gristmill runs usage
  gristmill runs usage -n 10 --preset my-preset.yaml"""
STEER = """\
Ask something of the training of a run that is under way: save a checkpoint; stop, with what was learned so far as the
result (its verdict is `asked`); pause and continue; let the phase under way be the last; or train on with other
learning rates or stop rules. Every order is recorded in MLflow; what changes training is part of the result.

  gristmill steer pause
  gristmill steer set lr_scale=0.5 stop.max_tokens=2000000 --reason "loss is still falling"
  gristmill steer stop --run 20260131"""
NODE = """\
Take part in the training of a run on another machine. The run has run.nodes=N and run.rendezvous=HOST:PORT; every other
machine runs this command with the same home, on a file system that all of them share. It joins each phase of training,
waits while other stages run, and ends with the run. Slurm and Kubernetes say which machine is which: see
deploy/slurm/train.sbatch and deploy/kubernetes/train.yaml.

  gristmill run my-preset.yaml --set run.nodes=2 --set run.rendezvous=node0:29500      # on node0
  gristmill node node0:29500 --rank 1                                                  # on node1"""
BRANCH = """\
Start a new run from a checkpoint of an earlier one, with its weights, optimizer and position in the data, and with
other parameters; MLflow names the parent. The default is the checkpoint before the learning rate began to fall, from
which a run can be made longer.

  gristmill branch 20260131-101500-ab12 --set train.stop.max_tokens=4000000
  gristmill branch 20260131 --step 1200 --set train.optimizer.muon_lr=0.01"""
APPROVE = """\
Let a phase of training begin that waits for approval (train.phases with approve: true). Resuming the paused flow run
in the Prefect UI does the same.

  gristmill approve instruct"""
INSPECT = """\
Show what a stage of a run kept and what it rejected, side by side with the reasons; the histogram of every value that
was measured with its threshold; what each source lost by which rule; and the largest duplicate clusters.

  gristmill inspect clean
  gristmill inspect clean --rule words.min_words -n 40
  gristmill inspect dedup --source environment --seed 7"""
WHY = """\
Follow one document from its file and line through every stage: to the rule that dropped it, or to its token blocks.
The other way round, name a block and see whose text is in it.

  gristmill why 3f9a2c41
  gristmill why environment/numpy-2.4.6.dist-info/METADATA
  gristmill why train/000000.arrow:17"""
WHY_STOPPED = """\
Say which stop rule ended the training of a run, what followed from it, and how far every other rule was, with the
values. A run that is under way or broke off is shown as it stands.

  gristmill why-stopped
  gristmill why-stopped 20260131"""
REPLAY = """\
Say what other stop rules would have done: they are run over the recorded curve of a run, without training
anything. For each rule that would have fired: at which step, the validation loss then, and what later training gained.

  gristmill replay --set train.stop.patience.evals=5
  gristmill replay 20260131 --set 'train.stop.plateau={evals: 10, min_gain: 0.02}'"""
REPORT = """\
Write the HTML report of a run again, and print its path: one file with every chart, in English and Chinese, that opens
in any browser from disk. Each run writes its own at its end, also when it fails. It is compared with the champion, or
with the run that --compare names.

  gristmill report
  gristmill report 20260131 --compare 20260130"""
GENERATE = """\
Write with a released model: continue prompts from arguments, a file or standard input, or hold a conversation. Without
--model it is the champion, or else the newest version, of the model that was registered last. Prompts are continued
together and printed in order; with one, the text appears as it is made.

  gristmill generate "Once upon a time"
  gristmill generate "To install" --model models:/gristmill-quickstart@champion -n 3 --temperature 0.7 --seed 1
  gristmill generate "春天" --model ./my-model --greedy --max-tokens 40 --stop "。"
  gristmill generate --file prompts.jsonl --json > texts.jsonl
  cat letter.txt | gristmill generate
  gristmill generate --chat --system 'Be brief.'"""
CLASSIFY = """\
Tell the labels of texts with a released classifier: texts from arguments, a file or the lines of standard input. A line
for each: the label, its probability, and the text. Without --model it is the champion, or else the newest version, of
the model that was registered last.

  gristmill classify "The garden was excellent."
  gristmill classify --file reviews.txt --model models:/reviews@champion
  gristmill classify --file reviews.jsonl --json > labels.jsonl
  cat reviews.txt | gristmill classify --truncate"""
PULL = """\
Fetch a released model from the registry: weights for transformers, tokenizer, ONNX variants, card and lineage.

  gristmill pull models:/gristmill-quickstart@champion
  gristmill pull models:/gristmill-quickstart/3 --variant int8 --out ./model"""
SERVE = """\
Answer over HTTP with a released model, as OpenAI's API does: /v1/completions, /v1/chat/completions and /v1/models, with
a page to try it at /, /health, /ready and /metrics, and SageMaker's /ping and /invocations. Concurrent requests run
together. A model that is named by an alias is exchanged when the alias moves, without dropping a request.
API keys come from --api-keys FILE or GRISTMILL_API_KEYS, never from the command line. All settings: docs/serving.md.

  gristmill serve
  gristmill serve models:/gristmill-quickstart@champion --port 8000
  gristmill serve ./my-model --variant int8 --set max_queue=64
  gristmill serve my-model@champion --host 0.0.0.0 --api-keys keys.txt"""
EVALUATE = """\
Measure any model as the pipeline measures its own: a transformers folder, a result of training or one of its
checkpoints, a run, a released or pulled bundle with any of its variants, or a registered version. The figures are
printed, written as JSON with --out, and logged to MLflow under the same names, so that models compare.

  gristmill evaluate my-model@champion --variant int4
  gristmill evaluate 20260131 --on ~/texts --on questions.jsonl
  gristmill evaluate ~/downloads/some-model --on 20260131 --set max_documents=200 --out figures.json"""
PROMOTE = """\
Decide anew whether a registered version may serve people: its gate, every check with its figures, and the comparison
with the champion on the same test documents. It takes the champion's place if it deserves it; exit code 1 if not.
A person may overrule the gate with --override and a reason. Every decision is kept (gristmill registry NAME).

  gristmill promote my-model
  gristmill promote my-model/7 --override --reason "the old one was trained on text that we must not use" """
ROLLBACK = """\
Make the version champion again that was champion before; the trail says which. Again goes back one more.

  gristmill rollback my-model --reason "answers in the wrong language" """
REGISTRY = """\
List the versions of a registered model with their aliases and figures, and every decision: who, when and why.

  gristmill registry my-model"""
UI = """\
Start the Prefect server and the MLflow UI on the home's data until Ctrl-C, and print both addresses. Runs that start
meanwhile use the same Prefect server.

  gristmill ui
  gristmill ui --prefect-port 4300 --mlflow-port 5100"""
PRESETS = "List the presets that come with the package. A path of a .yaml file of yours works wherever a name does."
SCHEMA = """\
Write the JSON schema of presets beside the built-in ones and print its path. Editors then complete and check keys:

  # yaml-language-server: $schema=/path/to/schema.json"""
UP = """\
Start a stack that stays when the terminal closes: Prefect server, MLflow server and a worker, with the deployments,
the automations and, with --nightly, a schedule that retrains the model of a preset as new text arrives. All of it
listens on this machine alone. Called again it only renews the deployments and the schedule.

  gristmill up
  gristmill up --nightly my-preset.yaml
  gristmill up --nightly my-preset.yaml --cron "30 3 * * 1-5"

GRISTMILL_DATABASE_URL=postgresql://user:password@host/name keeps Prefect's and MLflow's data in PostgreSQL."""
DOWN = """\
End the stack that `gristmill up` started: worker, servers and the runs under way, which go on from their last
checkpoint when they are started again.

  gristmill down"""
STATUS = """\
Say what of the stack runs and where, and of a store that the home shares (run.store of the newest run, or
GRISTMILL_STORE): how much is in it, what is only there, and what only here; then every index of duplicates
(dedup.index) with its size. Exits with 1 when a part is down or that store cannot be read, so that a monitor can
call it.

  gristmill status"""
RETRAIN = """\
Look for new, changed and withdrawn files in the sources of a preset. Only what is new is read, cleaned and compared
with all earlier text. With evidence (so many new tokens, text that the champion finds hard, its age; section retrain) a
new model is trained, from the champion's weights or from scratch; it becomes champion if it is better and has not
forgotten old text. Without evidence the run says why and ends.

  gristmill retrain my-preset.yaml
  gristmill retrain my-preset.yaml --set retrain.min_new_tokens=1000000 --set retrain.replay=0.5"""
