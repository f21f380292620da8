"""The errors a user can cause: each message says what, where, the value and the remedy."""


class GristmillError(ValueError):
    """Base of every error that is the user's to mend; the command line prints it without a traceback."""

    exit_code = 1


class ParameterError(GristmillError):
    """A preset, an override or a command line argument that cannot be used."""

    exit_code = 2


class SourceError(GristmillError):
    """Raw text that cannot be found, read or used."""


class StoreError(GristmillError):
    """A store that cannot be written, or whose contents are not what their seal says."""

    @classmethod
    def no_space(cls, where: object, *, during: str = "") -> "StoreError":
        """The disk is full; `during` names the stage that met it."""
        at = f"{during}: " if during else ""
        return cls(
            f"{at}no space left in {where}; free some (gristmill gc removes what no run refers to) "
            "and start the same command again: finished stages are kept"
        )

    @classmethod
    def no_permission(cls, where: object, *, during: str = "") -> "StoreError":
        """A file or folder that may not be written; `during` names the stage that met it."""
        at = f"{during}: " if during else ""
        return cls(
            f"{at}{where}: no permission to write; "
            "choose another folder with --home or GRISTMILL_HOME, or change its owner"
        )


class DamagedError(StoreError):
    """A result in a shared store that is not what its seal says: it has been made invalid, and can be made anew."""

    def __init__(self, problem: str, *, stage: str, fingerprint: str) -> None:
        super().__init__(f"{problem}; run the same command again, and {stage} is made and stored anew")
        self.problem = problem
        self.key = (stage, fingerprint)


class TrainingError(GristmillError):
    """Training that could not start or ended broken."""


class BrokenTrainingError(TrainingError):
    """Training that a rule ended with the verdict broken: nothing may be released from it."""


class ExportError(GristmillError):
    """An exported graph that does not agree with the trained model."""


class ModelFileError(GristmillError):
    """A folder or file that holds no model which can be evaluated."""


class EvaluationError(GristmillError):
    """Evaluation texts or tasks that cannot be used."""


class ReleaseError(GristmillError):
    """A model that cannot be registered, found or pulled."""


class ServerError(GristmillError):
    """A Prefect or MLflow server that cannot be started or reached."""


class PrefectGoneError(ServerError):
    """The Prefect server went while a run was under way: what Prefect's client still has to send, nobody takes."""


class EngineError(GristmillError):
    """A Ray or Dask cluster that cannot be started or reached."""
