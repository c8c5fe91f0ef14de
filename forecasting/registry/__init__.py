"""The model registry and the record of runs, on MLflow. The only package that imports mlflow.

store.py   Registry, ModelVersion: what is registered, which version is in production, moving the alias
run.py     Run: parameters, curves, pictures, data set and model of one training
access.py  reaching the store: settings, addresses without passwords, mlflow's errors in our words
pyfunc.py  the code that mlflow keeps beside each bundle, so that its own `load_model` works (models-from-code)
"""

from forecasting.registry.run import Run
from forecasting.registry.store import PREVIOUS, PRODUCTION, Registry, embedded
from forecasting.registry.version import ModelVersion

__all__ = ["PREVIOUS", "PRODUCTION", "ModelVersion", "Registry", "Run", "embedded"]
